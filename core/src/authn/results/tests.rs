use super::*;

fn id() -> Domain {
    Domain::parse("mx.test").unwrap()
}

#[test]
fn a_field_has_a_line_for_each_method_and_says_so_where_there_is_none() {
    let methods = ["spf=pass smtp.mailfrom=a@x.test".to_owned(), "dkim=none".to_owned()];
    let field = "Authentication-Results: mx.test;\r\n\tspf=pass smtp.mailfrom=a@x.test;\r\n\tdkim=none\r\n";
    assert_eq!(to_field(&id(), &methods), field);
    assert_eq!(to_field(&id(), &[]), "Authentication-Results: mx.test;\r\n\tnone\r\n");
}

#[test]
fn nobody_else_speaks_in_our_name() {
    let forged = [
        "Authentication-Results: mx.test; dkim=pass\r\n",
        "authentication-results:MX.Test;dmarc=pass\r\n",
        "Authentication-Results: (a (nested\\) one)) \"mx.test\" 1; spf=pass\r\n",
        "Authentication-Results:\r\n mx.test\r\n ; spf=pass\r\n",
        "Authentication-Results : mx.test; spf=pass\r\n",
        "Authentication-Results: mx.(x)test; spf=pass\r\n",
        "Authentication-Results: mx.test\r\n",
        "AUTHENTICATION-RESULTS:\tMX.TEST.\t1\r\n\t;dkim=pass\r\n",
        "Authentication-Results: mx.test(x)1; dkim=pass\r\n",
        "Authentication-Results: mx.test/1; dkim=pass\r\n",
        "Authentication-Results: \"m\\x.test\"1; dkim=pass\r\n",
        "Authentication-Results: \"mx.test; dkim=pass\r\n",
        "Authentication-Results: (mx.test; dkim=pass\r\n",
        "Authentication-Results: <mx.test>, dkim=pass\r\n",
        "Authentication-Results: \0mx.test\0; dkim=pass\r\n",
        "Authentication-Results:\r\n (a\r\n b)\r\n mx.test\x0b; dkim=pass\r\n",
        "Authentication-Results: mx.t\u{ff45}st; dkim=pass\r\n",
    ];
    let others = [
        "Received: from y\r\n",
        "Authentication-Results: mx.test.other.test; dkim=pass\r\n",
        "Authentication-Results: other.test; (mx.test) dkim=pass\r\n",
        "X-Authentication-Results: mx.test; dkim=pass\r\n",
        "Authentication-Results:\r\n",
        "Authentication-Results: ; mx.test; dkim=pass\r\n",
        "Authentication-Results: (mx.test) other.test; dkim=pass\r\n",
    ];
    for forged in forged {
        let header = format!("{}{forged}Subject: x\r\n\r\n", others.concat());
        let kept = String::from_utf8(without_forged(header.as_bytes(), &id())).unwrap();
        assert_eq!(kept, format!("{}Subject: x\r\n\r\n", others.concat()), "{forged}");
    }
}

#[test]
fn results_of_others_are_read_part_by_part() {
    let results = "other.test; spf=pass smtp.mailfrom=x; DMARC=pass(p=none) header.from=y;dkim=fail";
    for (method, result, expected) in [
        ("dmarc", "pass", true),
        ("spf", "pass", true),
        ("dkim", "fail", true),
        ("dkim", "pass", false),
        ("other.test", "", false),
    ] {
        assert_eq!(has_result(results, method, result), expected, "{method}={result}");
    }
    assert!(!has_result("dmarc=pass", "dmarc", "pass"));
}

#[test]
fn what_a_sealer_quotes_of_the_message_is_no_result() {
    for (results, expected) in [
        ("s.test; dmarc=pass", true),
        ("s.test; dmarc = pass (x)", true),
        ("s.test; dmarc=(x)pass; spf=fail", true),
        ("s.test; dmarc=pass header.from=x; dmarc=fail header.from=y", false),
        ("s.test; spf=pass (a; dmarc=pass ) smtp.mailfrom=x; dmarc=fail", false),
        ("s.test; spf=pass (a \\) ; dmarc=pass ", false),
        ("s.test; spf=pass smtp.mailfrom=\"a; dmarc=pass b\"@x.test", false),
        ("s.test; spf=pass smtp.mailfrom=\"a\\\"; dmarc=pass \"@x.test; dmarc=pass", true),
        ("s.test; spf=pass (; dmarc=pass", false),
        ("s.test; dmarc=passed", false),
        ("s.test; x-dmarc=pass", false),
        ("s.test; dmarc=\"pass\"", false),
    ] {
        assert_eq!(has_result(results, "dmarc", "pass"), expected, "{results}");
    }
}

#[test]
fn a_field_of_parentheses_takes_no_longer_than_its_length() {
    let body = "(".repeat(256 << 10);
    let header = format!("Authentication-Results: {body} mx.test; dkim=pass\r\n\r\n");
    assert_eq!(without_forged(header.as_bytes(), &id()), b"\r\n");
    let header = format!("Authentication-Results: {} mx.test; dkim=pass\r\n\r\n", "()".repeat(128 << 10));
    assert_eq!(without_forged(header.as_bytes(), &id()), b"\r\n");
}
