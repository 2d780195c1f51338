//! GENERATED: AWS shapes and operations, one module per service.
