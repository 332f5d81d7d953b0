#include "docker/tar.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>

namespace hg::docker {

namespace {

constexpr size_t kBlock = 512;

// Places of a ustar header (pax(1), "ustar Interchange Format").
struct Field {
  size_t at;
  size_t size;
};
constexpr Field kName{0, 100}, kMode{100, 8}, kUser{108, 8}, kGroup{116, 8}, kSize{124, 12}, kTime{136, 12}, kSum{148, 8}, kType{156, 1},
    kMagic{257, 8};

}  // namespace

void TarWriter::header(std::string_view path, uint32_t mode, uint32_t owner, uint64_t size, char type) {
  std::array<char, kBlock> block{};
  auto text = [&](Field field, std::string_view value) {
    std::memcpy(block.data() + field.at, value.data(), std::min(value.size(), field.size));
  };
  auto octal = [&](Field field, uint64_t value) { text(field, fmt::format("{:0{}o}", value, field.size - 1)); };
  text(kName, path.substr(0, kName.size - 1));
  octal(kMode, mode);
  octal(kUser, owner);
  octal(kGroup, owner);
  octal(kSize, size);
  octal(kTime, 0);
  block[kType.at] = type;
  text(kMagic, std::string_view("ustar\00000", 8));
  text(kSum, "        ");
  const uint32_t sum =
      std::accumulate(block.begin(), block.end(), 0u, [](uint32_t total, char c) { return total + static_cast<unsigned char>(c); });
  text(kSum, fmt::format("{:06o}", sum) + std::string("\0 ", 2));
  out_.append(block.data(), block.size());
}

void TarWriter::add_folder(std::string_view path, uint32_t mode) { header(path, mode, 0, 0, '5'); }

void TarWriter::add_file(std::string_view path, uint32_t mode, uint32_t owner, std::string_view content) {
  header(path, mode, owner, content.size(), '0');
  out_.append(content);
  out_.append((kBlock - content.size() % kBlock) % kBlock, '\0');
}

std::string TarWriter::finish() && {
  out_.append(2 * kBlock, '\0');
  return std::move(out_);
}

}  // namespace hg::docker
