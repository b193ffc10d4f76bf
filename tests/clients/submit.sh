# Ways to submit one message, for the shell. Set from outside: user, password, token, certificate, from, to, subject, ca, message, folder, and
# the ports smtp, submission, submissions and lmtp.

host=127.0.0.1

by_swaks() {
  # It ends the last line itself.
  head -c -2 "$message" >"$folder/data"
  swaks --server $host --ehlo client.test --timeout 60 --from "$from" --to "$to" --data "@$folder/data" "$@"
}

# with_login MECHANISM OPTION...
swaks_with_login() {
  mechanism=$1 && shift
  by_swaks --auth "$mechanism" --auth-user "$user" --auth-password "$password" \
    --tls-verify --tls-ca-path "$ca" "$@"
}

by_curl() {
  curl --silent --show-error --verbose --max-time 60 --cacert "$ca" --mail-from "$from" --mail-rcpt "$to" \
    --upload-file "$message" "$@"
}

curl_with_login() {
  by_curl --ssl-reqd --user "$user:$password" "$@"
}

curl_with_token() {
  by_curl --ssl-reqd --user "$user:" --oauth2-bearer "$token" "$@"
}

curl_with_certificate() {
  by_curl --ssl-reqd --cert "$certificate" --user "$user:" "$@"
}

by_msmtp() {
  msmtp --host=$host --timeout=60 --domain=client.test --tls-trust-file="$ca" --from="$from" "$@" -- "$to" <"$message"
}

# msmtp_with_login MECHANISM OPTION...
msmtp_with_login() {
  mechanism=$1 && shift
  by_msmtp --tls=on --auth="$mechanism" --user="$user" --passwordeval='printf "%s\n" "$password"' "$@"
}

# by_mutt SCHEME PORT MECHANISM
by_mutt() {
  # Of its own list of authorities it trusts the system's only.
  cat >"$folder/muttrc" <<END
set smtp_url="$1://$user@$host:$2" smtp_pass="$password" smtp_authenticators="$3"
set from="$from" use_envelope_from=yes hostname=client.test copy=no
set ssl_starttls=yes ssl_force_tls=yes certificate_file="$ca"
END
  sed '1,/^\r*$/d; s/\r$//' "$message" | HOME=$folder mutt -n -F "$folder/muttrc" -s "$subject" -- "$to"
}

# by_smtplib MODE PORT
by_smtplib() {
  python3 "$folder/submit.py" "$@"
}
