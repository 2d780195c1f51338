//! The root agent: records of the host, made real on Linux.
