//! Prints the OpenAPI document: `cargo run -p novagate-http-admin --example openapi > docs/openapi.json`.
#![expect(clippy::print_stdout, reason = "its output is the document")]

fn main() {
    println!("{}", novagate_http_admin::api_document());
}
