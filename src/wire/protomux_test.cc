#include "wire/protomux.h"

#include <gtest/gtest.h>

#include "support/vectors.h"

namespace hg::wire {
namespace {

using boost::json::value;
using test::hex_array;
using test::hex_bytes;

struct Seen {
  std::vector<MuxOpen> opens;
  std::vector<uint64_t> rejects;
  std::vector<uint64_t> closes;
  std::vector<std::pair<uint64_t, uint64_t>> messages;  // channel, type
  std::vector<Bytes> bodies;

  bool read(ByteView frame) {
    return read_mux_frame(frame, {.on_open =
                                      [&](const MuxOpen& m) {
                                        opens.push_back(m);
                                        return true;
                                      },
                                  .on_reject =
                                      [&](const MuxReject& m) {
                                        rejects.push_back(m.id);
                                        return true;
                                      },
                                  .on_close =
                                      [&](const MuxClose& m) {
                                        closes.push_back(m.local_id);
                                        return true;
                                      },
                                  .on_message =
                                      [&](const MuxMessage& m) {
                                        messages.emplace_back(m.channel, m.type);
                                        bodies.push_back(to_bytes(m.body));
                                        return true;
                                      }});
  }
};

TEST(BlindRelayVectors, PairAndUnpair) {
  const value all = test::load_vectors("blind-relay-protomux");
  for (const value& c : all.at("pair").as_array()) {
    const Pair m{c.at("isInitiator").as_bool(), hex_array<32>(c.at("token")), c.at("id").to_number<uint64_t>(),
                 c.at("seq").to_number<uint64_t>()};
    EXPECT_EQ(to_hex(encode(m)), c.at("hex").as_string());
    EXPECT_TRUE(decode_pair(hex_bytes(c.at("hex"))) == m);
  }
  for (const value& c : all.at("unpair").as_array()) {
    const Unpair m{hex_array<32>(c.at("token"))};
    EXPECT_EQ(to_hex(encode(m)), c.at("hex").as_string());
    EXPECT_TRUE(decode_unpair(hex_bytes(c.at("hex"))) == m);
  }
}

TEST(ProtomuxVectors, OpenPairClose) {
  const value all = test::load_vectors("blind-relay-protomux");
  const auto& frames = all.at("protomux").as_array();
  ASSERT_EQ(frames.size(), 3u);
  Seen seen;
  for (const value& c : frames) ASSERT_TRUE(seen.read(hex_bytes(c.at("hex"))));
  ASSERT_EQ(seen.opens.size(), 1u);
  EXPECT_EQ(seen.opens[0].local_id, 1u);
  EXPECT_EQ(seen.opens[0].protocol, kBlindRelayProtocol);
  ASSERT_TRUE(seen.opens[0].id);
  EXPECT_EQ(seen.opens[0].id->size(), 32u);
  EXPECT_EQ(to_hex(encode(seen.opens[0])), frames[0].at("hex").as_string());
  ASSERT_EQ(seen.messages.size(), 1u);
  EXPECT_EQ(seen.messages[0], (std::pair<uint64_t, uint64_t>{1, kRelayPair}));
  const auto pair = decode_pair(seen.bodies[0]);
  ASSERT_TRUE(pair);
  EXPECT_EQ(pair->id, 77u);
  EXPECT_TRUE(pair->is_initiator);
  EXPECT_EQ(to_hex(encode(MuxMessage{1, kRelayPair, encode(*pair)})), frames[1].at("hex").as_string());
  ASSERT_EQ(seen.closes, std::vector<uint64_t>{1});
  EXPECT_EQ(to_hex(encode(MuxClose{1})), frames[2].at("hex").as_string());
}

TEST(ProtomuxVectors, Batch) {
  const value all = test::load_vectors("blind-relay-protomux");
  const auto& frames = all.at("batch").at("frames").as_array();
  ASSERT_EQ(frames.size(), 2u);
  Seen seen;
  for (const value& f : frames) ASSERT_TRUE(seen.read(hex_bytes(f)));
  ASSERT_EQ(seen.opens.size(), 1u);
  EXPECT_FALSE(seen.opens[0].id);
  EXPECT_EQ(seen.messages, (std::vector<std::pair<uint64_t, uint64_t>>{{1, 0}, {1, 1}, {1, 0}}));
  std::vector<MuxMessage> again;
  for (size_t i = 0; i < seen.messages.size(); ++i) again.push_back({seen.messages[i].first, seen.messages[i].second, seen.bodies[i]});
  EXPECT_EQ(to_hex(encode_batch(again)), frames[1].as_string());
}

TEST(Protomux, BatchSwitchesChannels) {
  const Bytes body = {9};
  const std::vector<MuxMessage> messages = {{1, 2, body}, {7, 0, body}, {7, 1, {}}};
  Seen seen;
  ASSERT_TRUE(seen.read(encode_batch(messages)));
  EXPECT_EQ(seen.messages, (std::vector<std::pair<uint64_t, uint64_t>>{{1, 2}, {7, 0}, {7, 1}}));
}

TEST(Protomux, ARefusalEndsTheFrame) {
  const std::vector<MuxMessage> messages(1000, MuxMessage{1, 2, {}});
  int read = 0;
  const auto third = [&](const MuxMessage&) { return ++read < 3; };
  EXPECT_FALSE(read_mux_frame(encode_batch(messages), {.on_open = {}, .on_reject = {}, .on_close = {}, .on_message = third}));
  EXPECT_EQ(read, 3);
}

TEST(Protomux, RefusesNestedBatchesAndTruncation) {
  Seen seen;
  const Bytes nested = {0, 0, 0, 3, 0, 0, 1};  // control batch, channel 0, an item that is a batch again
  EXPECT_FALSE(seen.read(nested));
  EXPECT_FALSE(seen.read({}));
  const Bytes cut = {0, 1, 1, 5, 'a'};
  EXPECT_FALSE(seen.read(cut));
}

}  // namespace
}  // namespace hg::wire
