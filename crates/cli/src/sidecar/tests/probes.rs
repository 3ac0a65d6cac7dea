//! What is answered at the address of `--probes`.

use super::*;

#[tokio::test]
async fn where_probes_are_answered_nothing_else_is() {
    let sidecar = Sidecar::new(&ApiServer::new(), Kind::Lease, "me");
    let leadership = tenure::Leadership::for_tests();
    sidecar.desk.begin_term(leadership.handle());
    let router = sidecar.probes();
    let mut answers = Answers::new();
    assert_eq!(answers.get(&router, "/healthz").await.0, 200);
    assert_eq!(answers.get(&router, "/readyz").await.0, 503);
    for (method, path) in PATHS.iter().filter(|(_, path)| !PROBES.contains(path)) {
        let request = Request::builder().method(method.to_uppercase().as_str());
        let request = request.uri(*path).header("host", "localhost");
        let request = request.header("content-type", "application/json");
        let request = request.body(Body::from(r#"{"to":"b"}"#)).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let told: Value = serde_json::from_slice(&body).unwrap();
        let what_to_do = told["what_to_do"].as_str().unwrap();
        assert!(what_to_do.contains("--http"), "{told}");
    }
    assert!(sidecar.desk.gate.look().is_some(), "it leads on");
    let request = Request::post("/healthz").body(Body::empty()).unwrap();
    let response = router.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
}
