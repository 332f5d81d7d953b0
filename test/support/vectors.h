// Reads the reference packages' output data in test/vectors.
#pragma once

#include <boost/json.hpp>

#include "base/bytes.h"

namespace hg::test {

/// Parses test/vectors/NAME.json; throws when it is missing.
boost::json::value load_vectors(const std::string& name);

Bytes hex_bytes(const boost::json::value& hex);
template <size_t N>
ByteArray<N> hex_array(const boost::json::value& hex) {
  const Bytes bytes = hex_bytes(hex);
  if (bytes.size() != N) throw std::runtime_error("vector has another length");
  ByteArray<N> out;
  std::copy(bytes.begin(), bytes.end(), out.begin());
  return out;
}

}  // namespace hg::test
