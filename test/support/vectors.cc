#include "support/vectors.h"

#include <fstream>
#include <sstream>

namespace hg::test {

boost::json::value load_vectors(const std::string& name) {
  std::ifstream file(std::string(HG_VECTORS_DIR) + "/" + name + ".json");
  if (!file) throw std::runtime_error("no vectors named " + name);
  std::ostringstream text;
  text << file.rdbuf();
  return boost::json::parse(text.str());
}

Bytes hex_bytes(const boost::json::value& hex) {
  const auto text = std::string_view(hex.as_string());
  Bytes out(text.size() / 2);
  if (!from_hex(text, out)) throw std::runtime_error("vector is not hexadecimal");
  return out;
}

}  // namespace hg::test
