//! The product: AWS services as pure operations and planners.
