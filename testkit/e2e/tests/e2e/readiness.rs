//! `/ready`: whether traffic should come to a gateway.

use std::sync::{Arc, Condvar, Mutex};

use novagate_e2e::{Answer, Api, Control, Gateway, GatewayOptions, PATIENCE, Request, Upstream, request, wait_until};

#[test]
fn a_gateway_is_ready_from_its_first_configuration_until_it_is_told_to_stop() {
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let inner = Arc::clone(&gate);
    let upstream = Upstream::start(move |request| {
        if request.target == "/slow" {
            let shut = inner.0.lock().unwrap();
            drop(inner.1.wait_while(shut, |open| !*open).unwrap());
        }
        Answer::new(200, "done")
    });
    let mut control = Control::start();
    let api = Api::register(&control);
    api.service("users", &upstream.url());
    api.open_route("slow", "/slow", "users");
    control.kill9();

    let (control_url, key) = (control.sync_url(), api.account.gateway_key.clone());
    let mut gateway = Gateway::launch(&GatewayOptions { control_url, key, ..GatewayOptions::default() });
    let waiting = gateway.ready().expect(503);
    assert!(waiting.text().contains("no configuration yet"), "{}", waiting.text());
    assert_eq!(gateway.get("/slow").status, 503, "and what comes all the same is told so");
    control.restart();
    wait_until("the gateway is ready", PATIENCE, || gateway.ready().status == 200);

    let address = gateway.address();
    let slow = std::thread::spawn(move || request(address, &Request::get("/slow")));
    wait_until("the slow request is with the upstream", PATIENCE, || upstream.last_to("/slow").is_some());
    gateway.ready().expect(200);
    gateway.ask_to_stop();
    wait_until("the gateway is not ready", PATIENCE, || gateway.ready().status == 503);
    let stopping = gateway.ready().expect(503);
    assert!(stopping.text().contains("stopping"), "{}", stopping.text());
    *gate.0.lock().unwrap() = true;
    gate.1.notify_all();
    slow.join().unwrap().unwrap().expect(200);
    assert_eq!(gateway.wait().code, Some(0));
}
