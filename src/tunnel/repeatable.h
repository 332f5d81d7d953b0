// Whether a client's first bytes may reach a service twice: they go to a provider before it has confirmed the channel, and to another one
// when it does not.
//
// Yes for what asks for nothing that a service would do twice: a TLS ClientHello (RFC 8446 4.1.2), the head of an HTTP request whose method
// is safe (RFC 9110 9.2.1), an SSH version line (RFC 4253 4.2), PostgreSQL's StartupMessage and requests for TLS. No for everything else.
#pragma once

#include "base/bytes.h"

namespace hg::tunnel {

/// `said`: all of it so far, the end may be missing. False as soon as anything follows.
bool may_be_repeated(ByteView said);

}  // namespace hg::tunnel
