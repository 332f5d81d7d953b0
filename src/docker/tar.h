// A tar archive (POSIX.1-1988 ustar) with a few small files, for `PUT /containers/{id}/archive`.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace hg::docker {

class TarWriter {
 public:
  /// `path`: relative, at most 99 bytes. Mode as in chmod.
  void add_folder(std::string_view path, uint32_t mode);
  void add_file(std::string_view path, uint32_t mode, uint32_t owner, std::string_view content);
  /// The archive with its end.
  std::string finish() &&;

 private:
  void header(std::string_view path, uint32_t mode, uint32_t owner, uint64_t size, char type);

  std::string out_;
};

}  // namespace hg::docker
