// Reading JSON that people and peers wrote: bounded parsing, and faults that say where.
#pragma once

#include <boost/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/expected.h"
#include "tunnel/frames.h"

namespace hg::tunnel {

/// Parses a whole text, nested at most 32 deep. The error names `name`, line and column.
Expected<boost::json::value> parse_json(std::string_view text, std::string_view name);
/// "NAME: PATH: VALUE is not accepted; ACCEPTED". A long value is cut.
Error json_fault(std::string_view name, std::string_view path, const boost::json::value& value, std::string_view accepted);

/// A whole number, also written as 80.0.
std::optional<int64_t> json_integer(const boost::json::value& value);
/// 1 to 65535.
std::optional<uint16_t> json_port(const boost::json::value& value);
std::optional<double> json_number(const boost::json::value& value);
/// "tcp", "udp" in either case, or the wire's 0 and 1.
std::optional<Protocol> json_protocol(const boost::json::value& value);

}  // namespace hg::tunnel
