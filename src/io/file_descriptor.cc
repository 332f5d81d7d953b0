#include "io/file_descriptor.h"

#include <cstring>

namespace hg::io {

Error errno_error(int number, const std::string& what) {
  const char* name = strerrorname_np(number);
  return {name == nullptr ? std::string("EUNKNOWN") : std::string(name), what + ": " + std::strerror(number)};
}

}  // namespace hg::io
