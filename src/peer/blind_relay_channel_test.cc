// What a stranger's frames can make a relay's control channel do.
#include "peer/blind_relay_channel.h"

#include <gtest/gtest.h>

namespace hg::peer {
namespace {

/// Counts what is written to it.
struct Sink final : noise::Connection {
  void set_handler(ByteStreamHandler*) override {}
  bool write(Buffer) override { return ++writes < 2; }
  size_t write_headroom() const override { return 0; }
  size_t write_tailroom() const override { return 0; }
  size_t queued_bytes() const override { return 0; }
  void pause_reading() override {}
  void resume_reading() override {}
  void end() override {}
  void destroy() override {}
  const PublicKey& remote_key() const override { return key; }
  const PublicKey& local_key() const override { return key; }
  bool is_initiator() const override { return false; }
  const Hash64& handshake_hash() const override { return hash; }
  noise::ConnectionStats stats() const override { return {}; }
  bool send_unordered(ByteView) override { return false; }
  void set_unordered_handler(std::function<void(ByteView)>) override {}
  void limit_messages(size_t) override {}

  PublicKey key{};
  Hash64 hash{};
  size_t writes = 0;
};

/// One frame that opens `count` channels of no protocol.
Bytes opens(size_t count) {
  Bytes frame = {0, 0, 0};             // control channel, batch, of the control channel
  const Bytes open = {4, 1, 7, 0, 0};  // length; open, local id 7, protocol "", no id
  for (size_t i = 0; i < count; ++i) frame.insert(frame.end(), open.begin(), open.end());
  return frame;
}

TEST(BlindRelayChannel, OneFrameIsAnsweredWithAHandfulAtMost) {
  for (const size_t count : {9u, 100u, 100'000u}) {
    Sink sink;
    BlindRelayChannel channel(sink, {});
    EXPECT_FALSE(channel.read(opens(count)));
    EXPECT_LE(sink.writes, 8u) << count;
  }
}

TEST(BlindRelayChannel, NorDoManyFramesGetMore) {
  Sink sink;
  BlindRelayChannel channel(sink, {});
  for (int i = 0; i < 8; ++i) EXPECT_TRUE(channel.read(opens(1)));
  EXPECT_FALSE(channel.read(opens(1)));
  EXPECT_EQ(sink.writes, 8u);
}

TEST(BlindRelayChannel, TheFirstFaultEndsTheFrame) {
  Sink sink;
  size_t pairs = 0;
  BlindRelayChannel::Events events;
  events.on_pair = [&](const wire::Pair&) { pairs++; };
  BlindRelayChannel channel(sink, std::move(events));
  ASSERT_TRUE(channel.read(wire::encode(wire::MuxOpen{5, std::string(wire::kBlindRelayProtocol), {}, {}})));
  const Bytes good = wire::encode(wire::Pair{true, {1}, 2, 0});
  const Bytes cut = {1, 2, 3};
  const std::vector<wire::MuxMessage> messages = {{5, wire::kRelayPair, good}, {5, wire::kRelayPair, cut}, {5, wire::kRelayPair, good}};
  EXPECT_FALSE(channel.read(wire::encode_batch(messages)));
  EXPECT_EQ(pairs, 1u);
}

}  // namespace
}  // namespace hg::peer
