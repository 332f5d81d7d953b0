// What the static program must not take from the machine it is copied to: shared objects. They come with another glibc, the one of the
// machine's own programs, and two of them in one process, of different versions, end it.
#include <nss.h>
#include <openssl/crypto.h>

namespace {

// Names are looked up in /etc/hosts and by DNS, whatever modules (systemd's, mDNS, LDAP …) /etc/nsswitch.conf names.
[[maybe_unused]] const int kNames = __nss_configure_lookup("hosts", "files dns");

// No openssl.cnf, which may name modules too (PKCS#11, FIPS …).
[[maybe_unused]] const int kCrypto = OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, nullptr);

}  // namespace
