#include "tunnel/frames.h"

#include <gtest/gtest.h>

#include "base/rng.h"
#include "crypto/crypto.h"
#include "support/vectors.h"
#include "tunnel/hello.h"
#include "tunnel/routes.h"

namespace hg::tunnel {
namespace {

namespace json = boost::json;

void expect_frame(const json::value& expected, ByteView frame) {
  if (expected.is_string()) {
    EXPECT_EQ(std::string(expected.get_string()), to_hex(frame));
    return;
  }
  EXPECT_EQ(expected.at("length").as_int64(), static_cast<int64_t>(frame.size()));
  EXPECT_EQ(std::string(expected.at("first16").as_string()), to_hex(frame.first(16)));
}

std::string string_or_empty(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value == nullptr ? std::string() : std::string(value->as_string());
}

Service service_of(const json::object& route) {
  Service service;
  service.gate_port = static_cast<uint16_t>(route.at("gatePort").as_int64());
  service.service_host = std::string(route.at("serviceHost").as_string());
  service.service_port = static_cast<uint16_t>(route.at("servicePort").as_int64());
  service.protocol = route.at("protocol").as_int64() == 1 ? Protocol::kUdp : Protocol::kTcp;
  service.tags = string_or_empty(route, "tags");
  if (const json::value* policy = route.if_contains("ingressPolicy")) service.ingress_policy = json::serialize(*policy);
  return service;
}

/// The frames we make for a vector's input.
std::vector<Buffer> frames_of(const json::object& message) {
  const json::object& input = message.at("input").as_object();
  const auto channel = input.contains("channelPort") ? static_cast<uint32_t>(input.at("channelPort").to_number<int64_t>()) : 0;
  std::vector<Buffer> frames;
  switch (static_cast<Action>(message.at("action").as_int64())) {
    case Action::kHello:
      frames.push_back(make_hello_frame({}, input.at("isGate").as_bool(), test::hex_bytes(input.at("auth"))));
      break;
    case Action::kOpen:
      if (input.contains("error")) {
        frames.push_back(make_error_frame({}, Action::kOpen, channel, std::string(input.at("error").as_string())));
      } else {
        const json::value* fingerprint = input.if_contains("fingerprint");
        frames.push_back(make_open_frame({}, channel, static_cast<uint32_t>(input.at("gatePort").as_int64()),
                                         static_cast<Protocol>(input.at("protocol").as_int64()),
                                         fingerprint == nullptr ? std::string() : json::serialize(*fingerprint)));
      }
      break;
    case Action::kStream: {
      const Bytes data = test::hex_bytes(input.at("data"));
      for (ByteView rest = data; !rest.empty();) {
        const ByteView piece = rest.first(std::min(rest.size(), kMaxStreamBody));
        rest = rest.subspan(piece.size());
        Buffer frame = Buffer::copy_of(piece, kFrameHeaderBytes);
        prepend_frame(frame, Action::kStream, channel);
        frames.push_back(std::move(frame));
      }
      break;
    }
    case Action::kAdvRoutes: {
      std::vector<Service> services;
      for (const json::value& route : input.at("routes").as_array()) services.push_back(service_of(route.as_object()));
      frames.push_back(make_frame({}, Action::kAdvRoutes, 0, as_bytes(encode_advertisement(services, {}))));
      break;
    }
    default:
      frames.push_back(make_frame({}, static_cast<Action>(message.at("action").as_int64()), channel));
  }
  return frames;
}

TEST(Frames, EveryVectorIsFramedIdentically) {
  const json::value vectors = test::load_vectors("hypergate");
  for (const json::value& entry : vectors.at("messages").as_array()) {
    SCOPED_TRACE(std::string(entry.at("label").as_string()));
    const std::vector<Buffer> frames = frames_of(entry.as_object());
    const json::array& framed = entry.at("framed").as_array();
    const json::array& payloads = entry.at("payloads").as_array();
    ASSERT_EQ(framed.size(), frames.size());
    for (size_t i = 0; i < frames.size(); ++i) {
      expect_frame(framed[i], frames[i].view());
      expect_frame(payloads[i], frames[i].view().subspan(kLengthBytes));
    }
  }
}

TEST(Frames, OddPayloadsReadAsTheReferenceReadsThem) {
  const json::value vectors = test::load_vectors("hypergate");
  for (const json::value& entry : vectors.at("parse").as_array()) {
    SCOPED_TRACE(std::string(entry.at("label").as_string()));
    const Bytes payload = test::hex_bytes(entry.at("hex"));
    const auto message = parse_message(payload);
    if (entry.at("result").is_null()) {
      EXPECT_TRUE(!message || message->action > static_cast<uint8_t>(Action::kEnd));
      continue;
    }
    ASSERT_TRUE(message);
    const json::object& result = entry.at("result").as_object();
    EXPECT_EQ(result.at("actionId").as_int64(), message->action);
    EXPECT_EQ(result.at("channelPort").as_int64(), message->channel);
    if (result.contains("error")) {
      EXPECT_EQ(std::string(result.at("error").as_string()), message->error);
      continue;
    }
    const auto open = parse_open(message->body);
    ASSERT_TRUE(open);
    EXPECT_EQ(result.at("gatePort").as_int64(), open->gate_port);
    EXPECT_EQ(result.at("protocol").as_int64(), static_cast<int64_t>(open->protocol));
  }
}

TEST(Frames, HelloBlobEqualsTheVectors) {
  crypto::init();
  const json::value vectors = test::load_vectors("hypergate");
  for (const json::value& entry : vectors.at("auth").as_array()) {
    const auto secret = test::hex_array<32>(entry.at("router_secret_hex"));
    const RouterKeys router = derive_router_keys(secret);
    EXPECT_EQ(std::string(entry.at("routerPublicKey").as_string()), to_hex(router.keys.public_key));
    EXPECT_EQ(std::string(entry.at("derived_key").as_string()), to_hex(router.auth_key));
    const AuthBlob auth = make_auth(router, test::hex_array<32>(entry.at("sourcePublicKey")),
                                    test::hex_array<32>(entry.at("targetPublicKey")), entry.at("timestamp_ms").as_int64());
    EXPECT_EQ(std::string(entry.at("auth_blob").as_string()), to_hex(auth));
  }
}

TEST(Frames, LongErrorTextIsCutToFit) {
  for (const std::string& text : {std::string(253, 'x'), std::string(254, 'x'), std::string(4000, '"'), std::string(400, '\n')}) {
    const Buffer frame = make_error_frame({}, Action::kOpen, 7, text);
    const auto message = parse_message(frame.view().subspan(kLengthBytes));
    ASSERT_TRUE(message);
    EXPECT_TRUE(message->is_error);
    EXPECT_FALSE(message->error.empty());
    EXPECT_TRUE(text.starts_with(message->error));
    EXPECT_LE(frame.size(), kFrameHeaderBytes + kMaxErrorJson);
  }
  EXPECT_EQ(253u, parse_message(make_error_frame({}, Action::kOpen, 1, std::string(253, 'x')).view().subspan(4))->error.size());
}

TEST(Frames, ErrorTextIsNotCutInsideACharacter) {
  std::string text;
  for (int i = 0; i < 200; ++i) text += "é";
  const auto message = parse_message(make_error_frame({}, Action::kOpen, 1, text).view().subspan(kLengthBytes));
  ASSERT_TRUE(message);
  EXPECT_EQ(0u, message->error.size() % 2);
  EXPECT_TRUE(text.starts_with(message->error));
}

TEST(FrameReader, CutsAnyPiecesIntoTheSameMessages) {
  SeededRng rng(5);
  Bytes wire;
  std::vector<Bytes> sent;
  for (int i = 0; i < 40; ++i) {
    Bytes body(rng.below(300));
    rng.fill(body);
    const Buffer frame = make_frame({}, Action::kStream, static_cast<uint32_t>(i), body);
    append_bytes(wire, frame.view());
    sent.push_back(to_bytes(frame.view().subspan(kLengthBytes)));
  }
  for (size_t piece = 1; piece < 400; piece += 7) {
    FrameReader reader;
    std::vector<Bytes> got;
    for (ByteView rest = wire; !rest.empty();) {
      const ByteView part = rest.first(std::min(piece, rest.size()));
      rest = rest.subspan(part.size());
      ASSERT_TRUE(reader.feed(part, [&](ByteView payload) {
        got.push_back(to_bytes(payload));
        return true;
      }));
    }
    EXPECT_EQ(sent, got) << piece;
    EXPECT_EQ(0u, reader.buffered());
  }
}

TEST(FrameReader, TenMebibytesPassAndOneByteMoreEndsTheConnection) {
  FrameReader reader;
  Bytes head(4);
  store_u32_be(head.data(), kMaxMessage);
  const auto ignore = [](ByteView) { return true; };
  EXPECT_TRUE(reader.feed(head, ignore));
  EXPECT_EQ(4u, reader.buffered());  // the claim alone allocates nothing
  store_u32_be(head.data(), kMaxMessage + 1);
  FrameReader second;
  EXPECT_FALSE(second.feed(head, ignore));
  FrameReader third;
  EXPECT_TRUE(third.feed(ByteView(head).first(2), ignore));
  EXPECT_FALSE(third.feed(ByteView(head).subspan(2), ignore));
}

TEST(FrameReader, StopsWhereItIsTold) {
  Bytes wire;
  for (uint32_t i = 0; i < 3; ++i) append_bytes(wire, make_frame({}, Action::kClose, i).view());
  FrameReader reader;
  int seen = 0;
  EXPECT_TRUE(reader.feed(wire, [&](ByteView) { return ++seen < 2; }));
  EXPECT_EQ(2, seen);
}

}  // namespace
}  // namespace hg::tunnel
