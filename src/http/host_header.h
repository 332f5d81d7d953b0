// By what name an endpoint is asked. A page of another site may have its name made to point here (DNS rebinding), and then reads what it
// asks for; but its browser says that name in Host.
#pragma once

#include <string>
#include <string_view>

#include "http/server.h"

namespace hg::http {

/// For who is refused.
inline constexpr std::string_view kAskByAddress = "ask by the address, or as localhost";

/// Whether a Host header names an address, or localhost: no other page's name. Empty: true.
bool names_an_address(const std::string& host_header);
/// The same of a request; true without the header, which browsers always send.
bool is_asked_by_address(const Request& request);
/// Also by a name that nobody can have in public: one without a dot (a proxy's upstream, a container) or in .internal (kept by ICANN
/// for private use).
bool is_asked_by_own_name(const Request& request);

bool is_loopback(const io::SocketAddress& address);

}  // namespace hg::http
