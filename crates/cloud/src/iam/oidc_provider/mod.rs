//! Identity providers of OpenID Connect: whose tokens a role may trust (IAM user guide, "OIDC federation").

mod model;
pub mod ops;

pub use model::OidcProvider;
