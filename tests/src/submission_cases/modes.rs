//! The clients and their modes, as data.

/// One way to send one message.
#[derive(Debug)]
pub(super) struct Mode {
    /// The message's subject, too.
    pub(super) name: &'static str,
    /// For the shell, after `clients/submit.sh`.
    pub(super) line: &'static str,
    /// What is to come of it.
    pub(super) end: End,
}

#[derive(Debug)]
pub(super) enum End {
    /// Delivered; the trace field says this.
    Delivered(&'static [&'static str]),
    /// Delivered to a recipient who needs SMTPUTF8; the trace field says this.
    DeliveredUtf8(&'static [&'static str]),
    /// The same after a login; with a wrong password the client shows this.
    LoggedIn(&'static [&'static str], &'static str),
    /// Refused; the client shows this.
    Refused(&'static str),
}

use End::{Delivered, DeliveredUtf8, LoggedIn, Refused};

const fn mode(name: &'static str, line: &'static str, end: End) -> Mode {
    Mode { name, line, end }
}

const TLS_1_2: &[&str] = &["with ESMTPSA id", "tls TLS_ECDHE_"];
const TLS_1_3: &[&str] = &["with ESMTPSA id", "tls TLS_AES_"];
/// With a login, under encryption, as all clients do it that are left alone.
const USER: End = LoggedIn(TLS_1_3, "535");

/// All of them.
pub(super) const MODES: &[Mode] = &[
    mode("swaks-starttls-plain", "swaks_with_login PLAIN --port $submission --tls", USER),
    mode("swaks-starttls-login", "swaks_with_login LOGIN --port $submission --tls", USER),
    mode("swaks-implicit-plain", "swaks_with_login PLAIN --port $submissions --tls-on-connect", USER),
    mode("swaks-implicit-login", "swaks_with_login LOGIN --port $submissions --tls-on-connect", USER),
    mode("swaks-pipeline", "swaks_with_login PLAIN --port $submission --tls --pipeline", USER),
    mode(
        "swaks-tls-1.2",
        "swaks_with_login PLAIN --port $submission --tls --tls-protocol tlsv1_2",
        LoggedIn(TLS_1_2, "535"),
    ),
    mode("swaks-helo", "by_swaks --port $smtp --protocol SMTP", Delivered(&["with SMTP id"])),
    mode("swaks-clear", "by_swaks --port $smtp", Delivered(&["with ESMTP id"])),
    mode("swaks-encrypted", "by_swaks --port $smtp --tls", Delivered(&["with ESMTPS id"])),
    mode("swaks-lmtp", "by_swaks --port $lmtp --protocol LMTP", Delivered(&["with LMTP id"])),
    mode("swaks-lmtps", "by_swaks --port $lmtp --protocol LMTP --tls", Delivered(&["with LMTPS id"])),
    mode(
        "swaks-lmtp-pipeline",
        "by_swaks --port $lmtp --protocol LMTP --pipeline",
        Delivered(&["with LMTP id"]),
    ),
    mode(
        "swaks-xclient",
        "by_swaks --port $smtp --xclient 'ADDR=192.0.2.7 PORT=1024 LOGIN=u@example.org'",
        Delivered(&["[192.0.2.7]"]),
    ),
    // As if from elsewhere: nobody may log in before TLS, nor send without having done so.
    mode(
        "swaks-plaintext",
        "swaks_with_login PLAIN --port $submission --xclient-addr 192.0.2.7",
        Refused("538 5.7.11"),
    ),
    mode("swaks-no-login", "by_swaks --port $submission --tls", Refused("530 5.7.0")),
    mode("swaks-not-ours", "to=x@far.test && by_swaks --port $smtp --tls", Refused("550 5.7.1")),
    mode("curl-starttls", "curl_with_login smtp://$host:$submission/client.test", USER),
    mode(
        "curl-starttls-plain",
        "curl_with_login --login-options AUTH=PLAIN smtp://$host:$submission/client.test",
        USER,
    ),
    mode(
        "curl-starttls-login",
        "curl_with_login --login-options AUTH=LOGIN smtp://$host:$submission/client.test",
        USER,
    ),
    mode("curl-initial-response", "curl_with_login --sasl-ir smtp://$host:$submission/client.test", USER),
    mode(
        "curl-oauthbearer",
        "curl_with_token --login-options AUTH=OAUTHBEARER smtp://$host:$submission/client.test",
        USER,
    ),
    mode(
        "curl-xoauth2",
        "curl_with_token --login-options AUTH=XOAUTH2 smtps://$host:$submissions/client.test",
        USER,
    ),
    mode(
        "curl-external",
        "curl_with_certificate --login-options AUTH=EXTERNAL smtps://$host:$submissions/client.test",
        Delivered(TLS_1_3),
    ),
    mode("curl-implicit", "curl_with_login smtps://$host:$submissions/client.test", USER),
    mode(
        "curl-tls-1.2",
        "curl_with_login --tls-max 1.2 smtps://$host:$submissions",
        LoggedIn(TLS_1_2, "535"),
    ),
    mode("curl-clear", "by_curl smtp://$host:$smtp", Delivered(&["with ESMTP id"])),
    mode("curl-encrypted", "by_curl --ssl-reqd smtp://$host:$smtp", Delivered(&["with ESMTPS id"])),
    mode("msmtp-starttls-plain", "msmtp_with_login plain --port=$submission", USER),
    mode("msmtp-starttls-login", "msmtp_with_login login --port=$submission", USER),
    mode("msmtp-starttls-scram", "msmtp_with_login scram-sha-256 --port=$submission", USER),
    mode("msmtp-starttls-best", "msmtp_with_login on --port=$submission", USER),
    mode("msmtp-implicit-plain", "msmtp_with_login plain --port=$submissions --tls-starttls=off", USER),
    mode("msmtp-implicit-login", "msmtp_with_login login --port=$submissions --tls-starttls=off", USER),
    mode(
        "msmtp-implicit-scram",
        "msmtp_with_login scram-sha-256 --port=$submissions --tls-starttls=off",
        USER,
    ),
    mode(
        "msmtp-notify",
        "msmtp_with_login plain --port=$submission --dsn-notify=failure,delay --dsn-return=hdrs",
        USER,
    ),
    mode("msmtp-clear", "by_msmtp --port=$smtp", Delivered(&["with ESMTP id"])),
    mode("msmtp-lmtp", "by_msmtp --port=$lmtp --protocol=lmtp", Delivered(&["with LMTP id"])),
    mode("smtplib-starttls", "by_smtplib starttls $submission", USER),
    mode("smtplib-implicit", "by_smtplib implicit $submissions", USER),
    mode("smtplib-clear", "by_smtplib plaintext $smtp", Delivered(&["with ESMTP id"])),
    mode("smtplib-utf8", "by_smtplib plaintext $smtp", DeliveredUtf8(&["with UTF8SMTP id"])),
    mode("smtplib-lmtp", "by_smtplib lmtp $lmtp", Delivered(&["with LMTP id"])),
    mode(
        "openssl-starttls-1.2",
        "by_smtplib openssl $submission -starttls smtp -tls1_2",
        LoggedIn(TLS_1_2, "535"),
    ),
    mode("openssl-starttls-1.3", "by_smtplib openssl $submission -starttls smtp -tls1_3", USER),
    mode("openssl-implicit-1.2", "by_smtplib openssl $submissions -tls1_2", LoggedIn(TLS_1_2, "535")),
    mode("openssl-implicit-1.3", "by_smtplib openssl $submissions -tls1_3", USER),
    mode("mutt-starttls-plain", "by_mutt smtp $submission plain", LoggedIn(TLS_1_3, "authentication failed")),
    mode("mutt-starttls-login", "by_mutt smtp $submission login", LoggedIn(TLS_1_3, "authentication failed")),
    mode(
        "mutt-starttls-scram",
        "by_mutt smtp $submission scram-sha-256",
        LoggedIn(TLS_1_3, "authentication failed"),
    ),
    mode(
        "mutt-implicit-plain",
        "by_mutt smtps $submissions plain",
        LoggedIn(TLS_1_3, "authentication failed"),
    ),
];
