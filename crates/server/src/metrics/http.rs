use crate::admin::Admin;
use crate::serve::taken;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tracing::debug;

/// How long a scraper may take to ask.
const HEADERS_WITHIN: Duration = Duration::from_secs(10);

/// Serves `GET /metrics`, if there is a listener.
pub async fn serve(listener: Option<TcpListener>, admin: Arc<Admin>) -> Infallible {
    let Some(listener) = listener else { return std::future::pending().await };
    loop {
        let (stream, peer) = taken(async || listener.accept().await).await;
        let admin = admin.clone();
        let service = service_fn(move |request| {
            let admin = admin.clone();
            async move { Ok::<_, Infallible>(answer(&admin, &request).await) }
        });
        tokio::spawn(async move {
            let mut server = http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(HEADERS_WITHIN);
            if let Err(error) = server.serve_connection(TokioIo::new(stream), service).await {
                debug!("a scraper at {peer}: {error}");
            }
        });
    }
}

async fn answer(admin: &Admin, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let (status, text) = match (request.method(), request.uri().path()) {
        (&Method::GET, "/metrics") => match admin.metrics().await {
            Ok(page) => (StatusCode::OK, page),
            Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error:#}\n")),
        },
        _ => (StatusCode::NOT_FOUND, "Ask for GET /metrics.\n".to_owned()),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let format = http::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(http::header::CONTENT_TYPE, format);
    response
}
