//! Who asks at Azure without any secret: the identity of what runs the program, as its token's endpoint sees it.

use serde_json::json;

use crate::support::front::{Front, Then};
use crate::support::sandbox::Sandbox;

const TOKEN: &str = "eyJ0b2tlbi10aGF0LW5vYm9keS1tYXktc2Vl";

/// A run whose storage account refuses connections: the token is asked for before anything is sent there.
fn run(front: &Front, more: &[(&str, &str)]) -> crate::support::sandbox::Ran {
    let mut sandbox = Sandbox::with(&[("a.jpg", "a")]);
    sandbox.env("IDENTITY_ENDPOINT", &format!("http://{}/msi/token", front.host()));
    sandbox.env("IDENTITY_HEADER", "secret-of-the-app-service");
    for (name, value) in more {
        sandbox.env(name, value);
    }
    let media = sandbox.path("media").to_str().unwrap().to_owned();
    sandbox.run(&["push", &media, "az://account/container?endpoint=https://127.0.0.1:1", "-vvv"])
}

/// <https://learn.microsoft.com/en-us/azure/app-service/overview-managed-identity#rest-endpoint-reference>
#[test]
fn an_identity_of_an_app_service_is_asked_for_a_token_as_documented() {
    let front = Front::alone();
    front.on(|_| {
        let body = json!({"access_token": TOKEN, "expires_on": "4102444800", "resource": "x", "token_type": "Bearer"});
        Some(Then::json(200, &body))
    });
    let ran = run(&front, &[("AZURE_CLIENT_ID", "11111111-2222-3333-4444-555555555555")]).exits(1);
    let calls = front.calls();
    let call = calls.first().expect("a token is asked for");
    assert_eq!((call.method.as_str(), call.path.as_str()), ("GET", "/msi/token"));
    for part in ["api-version=2019-08-01", "resource=https%3A%2F%2Fstorage.azure.com", "client_id=11111111-2222"] {
        assert!(call.query.contains(part), "{part}: {}", call.query);
    }
    assert_eq!(call.header("x-identity-header"), "secret-of-the-app-service");
    assert_eq!(calls.len(), 1, "one token serves all requests");
    ran.says(&["refused the connection"]).never_says(TOKEN).never_says("secret-of-the-app-service");
}

#[test]
fn an_identity_that_gives_no_token_is_told_with_the_way_out() {
    let front = Front::alone();
    front.on(|_| Some(Then::json(400, &json!({"error": "invalid_request", "error_description": "no identity"}))));
    let ran = run(&front, &[]).exits(1);
    ran.says(&["no usable credentials were found", "AZURE_STORAGE_CONNECTION_STRING"])
        .never_says("secret-of-the-app-service");
}
