//! AWS over HTTP: schema, protocols, SigV4; knows no service.
