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
    ];
    let others = [
        "Received: from y\r\n",
        "Authentication-Results: mx.test.other.test; dkim=pass\r\n",
        "Authentication-Results: other.test; (mx.test) dkim=pass\r\n",
        "X-Authentication-Results: mx.test; dkim=pass\r\n",
        "Authentication-Results:\r\n",
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
