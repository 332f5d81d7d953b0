#include "wire/compact.h"

#include <gtest/gtest.h>

#include "support/vectors.h"

namespace hg::wire {
namespace {

using boost::json::value;
using test::hex_bytes;

const boost::json::array& cases(const value& all, const char* name) { return all.at(name).as_array(); }

Endpoint endpoint_of(const value& v) {
  return {parse_ipv4(std::string(v.at("host").as_string())).value(), static_cast<uint16_t>(v.at("port").to_number<int>())};
}

class CompactVectors : public ::testing::Test {
 protected:
  value all_ = test::load_vectors("compact-encoding");

  template <class Write>
  std::string encoded(Write write) {
    Encoder e;
    write(e);
    return to_hex(e.view());
  }
};

TEST_F(CompactVectors, Uint) {
  for (const value& c : cases(all_, "uint")) {
    const auto number = c.at("value").to_number<uint64_t>();
    const Bytes bytes = hex_bytes(c.at("hex"));
    Decoder d(bytes);
    EXPECT_EQ(d.uint(), number);
    EXPECT_TRUE(d.ok());
    EXPECT_EQ(d.remaining(), 0u);
    if (!c.as_object().contains("decode_only")) {
      EXPECT_EQ(encoded([&](Encoder& e) { e.uint(number); }), c.at("hex").as_string());
      EXPECT_EQ(uint_size(number), bytes.size());
    }
  }
}

TEST_F(CompactVectors, FixedWidth) {
  for (const value& c : cases(all_, "uint16")) {
    const auto number = c.at("value").to_number<uint16_t>();
    EXPECT_EQ(encoded([&](Encoder& e) { e.uint16(number); }), c.at("hex").as_string());
    EXPECT_EQ(Decoder(hex_bytes(c.at("hex"))).uint16(), number);
  }
  for (const value& c : cases(all_, "uint32")) {
    const auto number = c.at("value").to_number<uint32_t>();
    EXPECT_EQ(encoded([&](Encoder& e) { e.uint32(number); }), c.at("hex").as_string());
    EXPECT_EQ(Decoder(hex_bytes(c.at("hex"))).uint32(), number);
  }
  for (const value& c : cases(all_, "fixed32")) {
    const Bytes bytes = hex_bytes(c.at("value"));
    EXPECT_EQ(encoded([&](Encoder& e) { e.raw(bytes); }), c.at("hex").as_string());
    EXPECT_EQ(to_hex(Decoder(bytes).fixed<32>()), c.at("value").as_string());
  }
}

TEST_F(CompactVectors, Buffers) {
  for (const value& c : cases(all_, "buffer")) {
    const Bytes bytes = hex_bytes(c.at("value"));
    const Bytes wire = hex_bytes(c.at("hex"));
    EXPECT_EQ(encoded([&](Encoder& e) { e.buffer(bytes); }), c.at("hex").as_string());
    EXPECT_TRUE(equal_bytes(Decoder(wire).buffer(), bytes));
  }
  for (const value& c : cases(all_, "optionalBuffer")) {
    const Bytes wire = hex_bytes(c.at("hex"));
    Decoder d(wire);
    const auto got = d.optional_buffer();
    EXPECT_TRUE(d.ok());
    ASSERT_EQ(got.has_value(), !c.at("decoded").is_null());
    if (got) {
      EXPECT_EQ(to_hex(*got), c.at("decoded").as_string());
    }
  }
  for (const value& c : cases(all_, "string")) {
    const std::string text(c.at("value").as_string());
    const Bytes wire = hex_bytes(c.at("hex"));
    EXPECT_EQ(encoded([&](Encoder& e) { e.string(text); }), c.at("hex").as_string());
    EXPECT_EQ(Decoder(wire).string(), text);
  }
}

TEST_F(CompactVectors, Addresses) {
  for (const value& c : cases(all_, "ipv4Address")) {
    const Bytes wire = hex_bytes(c.at("hex"));
    EXPECT_EQ(encoded([&](Encoder& e) { e.endpoint(endpoint_of(c)); }), c.at("hex").as_string());
    EXPECT_EQ(Decoder(wire).endpoint(), endpoint_of(c));
  }
  for (const value& c : cases(all_, "ipv6Address")) {
    const Bytes wire = hex_bytes(c.at("hex"));
    const Endpoint6 got = Decoder(wire).endpoint6();
    EXPECT_EQ(got.port, c.at("port").to_number<int>());
    EXPECT_EQ(encoded([&](Encoder& e) { e.endpoint6(got); }), c.at("hex").as_string());
  }
  for (const value& c : cases(all_, "array_ipv4")) {
    std::vector<Endpoint> list;
    for (const value& item : c.at("value").as_array()) list.push_back(endpoint_of(item));
    const Bytes wire = hex_bytes(c.at("hex"));
    EXPECT_EQ(encoded([&](Encoder& e) { e.endpoints(list); }), c.at("hex").as_string());
    EXPECT_EQ(Decoder(wire).endpoints(), list);
  }
}

TEST_F(CompactVectors, DecodeErrors) {
  size_t seen = 0;
  for (const value& c : cases(all_, "decode_errors")) {
    const std::string what(c.at("what").as_string());
    const Bytes wire = hex_bytes(c.at("hex"));
    Decoder d(wire);
    if (what.starts_with("uint"))
      d.uint();
    else if (what.starts_with("buffer"))
      d.buffer();
    else if (what.starts_with("array"))
      d.endpoints();
    else if (what.starts_with("fixed32"))
      d.fixed<32>();
    else
      continue;
    ++seen;
    EXPECT_FALSE(d.ok()) << what;
    EXPECT_EQ(d.remaining(), 0u);
  }
  EXPECT_EQ(seen, cases(all_, "decode_errors").size());
}

TEST(Compact, FaultSticks) {
  const Bytes wire = {0x05, 0x01, 0x02};
  Decoder d(wire);
  EXPECT_TRUE(d.buffer().empty());
  EXPECT_FALSE(d.ok());
  EXPECT_EQ(d.uint8(), 0);
  EXPECT_EQ(d.endpoint(), Endpoint{});
  EXPECT_FALSE(d.ok());
}

TEST(Compact, ArrayCountIsCheckedAgainstTheInput) {
  const Bytes wire = {0xfe, 0xff, 0xff, 0x0f, 0x00, 1, 2, 3, 4, 5, 6};  // just below the array bound, one element there
  Decoder d(wire);
  EXPECT_TRUE(d.endpoints().empty());
  EXPECT_FALSE(d.ok());
}

}  // namespace
}  // namespace hg::wire
