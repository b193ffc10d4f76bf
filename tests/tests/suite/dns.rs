//! The resolver over real sockets on loopback.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;

use fulmar_core::model::DnsName;
use fulmar_core::platform::{Answer, Dns, DnsError, Question, Record, RecordKind};
use fulmar_core::resolver::{NameServers, Resolver};
use fulmar_runtime_smol::{SmolClock, SmolEntropy, SmolNet, SmolRuntime};
use fulmar_tests::name_server::{Manner, NameServer};
use fulmar_tests::zone::Zone;

#[test]
fn a_real_server_is_heard_over_udp_and_tcp_and_the_next_one_where_nobody_listens() {
    let runtime = SmolRuntime::new(2).unwrap();
    let net = Arc::new(SmolNet::new(runtime.spawn()));
    // A port that was free a moment ago.
    let closed = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let exchanges: Vec<_> = (0..100).map(|at| (at, format!("mx{at}.many.test"))).collect();
    let exchanges: Vec<_> = exchanges.iter().map(|(preference, host)| (*preference, host.as_str())).collect();
    let zone = Zone::default();
    zone.host("host.test", &[[192, 0, 2, 1].into()]);
    zone.alias("alias.test", "host.test");
    zone.mx("null.test", &[(0, ".")]);
    zone.mx("many.test", &exchanges);
    let server = NameServer::start(Arc::new(zone));
    server.misbehave(Manner::ForgedFirst);
    let servers = vec![closed, server.address()];
    let resolver = Resolver::new(
        Arc::new(NameServers::from(servers)),
        net,
        Arc::new(SmolClock),
        Arc::new(SmolEntropy),
        runtime.spawn(),
    );
    let host = vec![Record::Address([192, 0, 2, 1].into())];
    let many = (0..100).map(|preference| {
        let exchange = Some(DnsName::parse(&format!("mx{preference}.many.test")).unwrap());
        Record::Mx { preference, exchange }
    });
    for (name, kind, expected) in [
        ("host.test", RecordKind::A, Ok(host.clone())),
        ("alias.test", RecordKind::A, Ok(host)),
        ("null.test", RecordKind::Mx, Ok(vec![Record::Mx { preference: 0, exchange: None }])),
        ("many.test", RecordKind::Mx, Ok(many.collect())),
        ("absent.test", RecordKind::A, Err(DnsError::NxDomain)),
    ] {
        let question = Question { name: DnsName::parse(name).unwrap(), kind };
        let result = runtime.block_on(resolver.lookup(&question));
        assert_eq!(result.map(|Answer { records, .. }| records), expected, "{name}");
    }
}
