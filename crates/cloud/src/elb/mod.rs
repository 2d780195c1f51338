//! Elastic Load Balancing: so far the network load balancers that services put before what they run.

pub mod load_balancer;
