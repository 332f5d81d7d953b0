// What a SecureConnection writes and takes: the reference's bytes, its bounds, forgeries.
#include "support/secure_sides.h"

namespace hg::noise {
namespace {

using namespace test;

TEST_F(Secure, WritesTheReferencesBytesInBothRoles) {
  for (const bool initiator : {true, false}) {
    const auto& role = v_.at(initiator ? "client" : "server");
    HeaderHost host(host_, hex_array<24>(role.at("secretstream_header")));
    auto stream = std::make_unique<FakeStream>(host);
    FakeStream* raw = stream.get();
    SecureConnection connection(host, std::move(stream), keys_of(role, initiator));
    Bytes expected = hex_bytes(role.at("header_frame"));
    EXPECT_EQ(raw->sent, expected);
    for (const auto& plain : role.at("plaintexts").as_array()) connection.write(Buffer::copy_of(hex_bytes(plain)));
    for (const auto& frame : role.at("frames").as_array()) append_bytes(expected, hex_bytes(frame));
    EXPECT_EQ(raw->sent, expected);
  }
}

TEST_F(Secure, ReadsTheReferencesBytesInSevenBytePieces) {
  for (const bool initiator : {true, false}) {
    const auto& sender = v_.at(initiator ? "server" : "client");
    Side side;
    make(side, initiator);
    Bytes wire = hex_bytes(sender.at("header_frame"));
    for (const auto& frame : sender.at("frames").as_array()) append_bytes(wire, hex_bytes(frame));
    feed(side, wire, 7);
    EXPECT_EQ(side.recorder.opened, 1);
    std::vector<Bytes> expected;
    for (const auto& plain : sender.at("plaintexts").as_array())
      if (!plain.as_string().empty()) expected.push_back(hex_bytes(plain));  // empty ones are keepalives
    EXPECT_EQ(side.recorder.messages, expected);
    EXPECT_EQ(side.connection->messages_received(), sender.at("plaintexts").as_array().size());
    EXPECT_EQ(side.recorder.closes, 0);
  }
}

TEST_F(Secure, BoundariesSurviveEveryCut) {
  open();
  std::vector<Bytes> expected;
  for (const size_t step : {size_t{1}, size_t{2}, size_t{5}, size_t{1152}, SIZE_MAX}) {
    for (const size_t size : {size_t{1}, size_t{16}, size_t{1135}, size_t{70000}}) {
      expected.push_back(Bytes(size, static_cast<uint8_t>(size)));
      a_.connection->write(Buffer::copy_of(expected.back()));
    }
    carry(a_, b_, step);
  }
  EXPECT_EQ(b_.recorder.messages, expected);
}

TEST_F(Secure, SealsInPlaceWhenThereIsRoom) {
  open();
  Buffer roomy = Buffer::with_room(a_.connection->write_headroom(), 100 + a_.connection->write_tailroom());
  roomy.append(Bytes(100, 7));
  const uint8_t* start = roomy.data() - SecureConnection::kHeadroom;
  a_.connection->write(std::move(roomy));
  EXPECT_EQ(a_.raw->last_address, start);
  Buffer tight = Buffer::copy_of(Bytes(100, 8));
  const uint8_t* tight_start = tight.data();
  a_.connection->write(std::move(tight));
  EXPECT_NE(a_.raw->last_address, tight_start);
  carry(a_, b_);
  EXPECT_EQ(b_.recorder.messages, (std::vector<Bytes>{Bytes(100, 7), Bytes(100, 8)}));
}

TEST_F(Secure, WritesBeyondOneUnitAreSplit) {
  open();
  a_.connection->write(Buffer::copy_of(Bytes(SecureConnection::kMaxMessage + 5, 1)));
  carry(a_, b_, 1 << 20);
  ASSERT_EQ(b_.recorder.messages.size(), 2u);
  EXPECT_EQ(b_.recorder.messages[0].size(), SecureConnection::kMaxMessage);
  EXPECT_EQ(b_.recorder.messages[1].size(), 5u);
}

TEST_F(Secure, AForeignHeaderCloses) {
  for (const size_t at : {size_t{0}, size_t{3}, size_t{34}}) {
    Side side;
    make(side, false);
    Bytes wire = hex_bytes(v_.at("client").at("header_frame"));
    wire[at] ^= 1;
    feed(side, wire);
    world_.run_for(1ms);
    EXPECT_EQ(side.recorder.opened, 0);
    EXPECT_EQ(side.recorder.closes, 1);
    ASSERT_TRUE(side.recorder.close_error);
    EXPECT_EQ(side.recorder.close_error->code, "INVALID_HEADER");
  }
}

TEST_F(Secure, WhatIsNoHeaderIsRefusedByItsLength) {
  make(a_, true);
  feed(a_, Bytes{0xff, 0xff, 0xff}, 1);
  world_.run_for(1ms);
  ASSERT_TRUE(a_.recorder.close_error);
  EXPECT_EQ(a_.recorder.close_error->code, "INVALID_HEADER");
  EXPECT_EQ(a_.raw->window, SecureConnection::kUnprovenWindow);
}

TEST_F(Secure, TheWindowOpensWithTheHeader) {
  make_pair();
  carry(a_, b_, 20);
  EXPECT_EQ(b_.raw->window, udx::StreamOptions{}.receive_window);
  EXPECT_EQ(a_.raw->window, SecureConnection::kUnprovenWindow);
}

TEST_F(Secure, OurOwnHeaderReflectedIsRefused) {
  make(a_, true);
  feed(a_, std::exchange(a_.raw->sent, {}));
  world_.run_for(1ms);
  ASSERT_TRUE(a_.recorder.close_error);
  EXPECT_EQ(a_.recorder.close_error->code, "INVALID_HEADER");
}

TEST_F(Secure, AForgedMessageClosesAndNothingFollows) {
  open();
  a_.connection->write(Buffer::copy_of(Bytes(10, 1)));
  a_.connection->write(Buffer::copy_of(Bytes(10, 2)));
  a_.raw->sent[12] ^= 1;
  carry(a_, b_);
  world_.run_for(1ms);
  EXPECT_TRUE(b_.recorder.messages.empty());
  EXPECT_EQ(b_.recorder.closes, 1);
  EXPECT_EQ(b_.recorder.close_error->code, "INVALID_MESSAGE");
}

TEST_F(Secure, AMessageShorterThanItsOverheadCloses) {
  open();
  feed(b_, Bytes{16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0});
  world_.run_for(1ms);
  EXPECT_EQ(b_.recorder.close_error->code, "INVALID_MESSAGE");
}

TEST_F(Secure, AClaimedLengthAllocatesNothing) {
  open();
  feed(b_, Bytes{0xff, 0xff, 0xff, 1, 2, 3});
  EXPECT_LT(b_.connection->reassembly_bytes(), 1024u);
}

TEST_F(Secure, AMessageBeyondTheLimitIsNotGathered) {
  for (const size_t cut : {size_t{1}, size_t{1152}, SIZE_MAX}) {
    b_.recorder = {};
    open();
    b_.connection->limit_messages(4096);
    a_.connection->write(Buffer::copy_of(Bytes(4096, 1)));
    a_.connection->write(Buffer::copy_of(Bytes(4097, 2)));
    a_.connection->write(Buffer::copy_of(Bytes(10, 3)));
    carry(a_, b_, cut);
    world_.run_for(1ms);
    ASSERT_EQ(b_.recorder.messages.size(), 1u) << cut;
    EXPECT_EQ(b_.recorder.messages[0].size(), 4096u);
    ASSERT_TRUE(b_.recorder.close_error);
    EXPECT_EQ(b_.recorder.close_error->code, "MESSAGE_TOO_LONG");
    EXPECT_LT(b_.connection->reassembly_bytes(), 16384u);
  }
}

TEST_F(Secure, AHeaderThatClaimsTooMuchCloses) {
  make(a_, true);
  feed(a_, Bytes{57, 0, 0});
  world_.run_for(1ms);
  ASSERT_TRUE(a_.recorder.close_error);
  EXPECT_EQ(a_.recorder.close_error->code, "INVALID_HEADER");
}

TEST_F(Secure, AMessageThatClaimsMoreThanAllowedCloses) {
  open();
  b_.connection->limit_messages(100);
  a_.connection->write(Buffer::copy_of(Bytes(100, 1)));
  a_.connection->write(Buffer::copy_of(Bytes(101, 1)));
  a_.raw->sent.resize(a_.raw->sent.size() - 100);  // its length is enough
  carry(a_, b_, 5);
  world_.run_for(1ms);
  EXPECT_EQ(b_.recorder.messages.size(), 1u);
  ASSERT_TRUE(b_.recorder.close_error);
  EXPECT_EQ(b_.recorder.close_error->code, "MESSAGE_TOO_LONG");
}

TEST_F(Secure, MemoryOfABigMessageIsGivenBackWhenIdle) {
  open();
  a_.connection->write(Buffer::copy_of(Bytes(1 << 20, 1)));
  carry(a_, b_, 1152);
  EXPECT_GE(b_.connection->reassembly_bytes(), size_t{1} << 20);
  for (int i = 0; i < 4; ++i) {
    b_.raw->heard = host_.now();
    world_.run_for(3s);
  }
  EXPECT_EQ(b_.connection->reassembly_bytes(), 0u);
  a_.connection->write(Buffer::copy_of(Bytes(10, 1)));
}

TEST_F(Secure, UnorderedEnvelopesEqualTheReference) {
  for (const bool initiator : {true, false}) {
    const auto& role = v_.at(initiator ? "client" : "server");
    const auto& u = role.at("unordered");
    const Hash64 hash = hex_array<64>(role.at("handshake_hash"));
    EXPECT_EQ(unordered_key(hash, initiator), hex_array<32>(u.at("encrypt_key")));
    EXPECT_EQ(unordered_key(hash, !initiator), hex_array<32>(u.at("decrypt_key")));
    UnorderedBox sender(hash, initiator, hex_array<8>(u.at("counter_before")));
    UnorderedBox receiver(hash, !initiator, {});
    for (const auto& m : u.at("messages").as_array()) {
      const Bytes envelope = sender.seal(hex_bytes(m.at("plain")));
      EXPECT_EQ(envelope, hex_bytes(m.at("envelope")));
      EXPECT_EQ(receiver.open(envelope), hex_bytes(m.at("plain")));
      EXPECT_FALSE(sender.open(envelope)) << "the two directions have keys of their own";
      for (size_t n = 0; n < envelope.size(); ++n) EXPECT_FALSE(receiver.open(ByteView(envelope).first(n)));
    }
  }
}

TEST_F(Secure, UnorderedMessagesPassAndForgeriesVanish) {
  open();
  std::vector<Bytes> got;
  b_.connection->set_unordered_handler([&](ByteView m) { got.push_back(to_bytes(m)); });
  EXPECT_TRUE(a_.connection->send_unordered(Bytes(4, 9)));
  b_.raw->on_message(a_.raw->messages.at(0));
  b_.raw->on_message({});
  a_.raw->messages[0][9] ^= 1;
  b_.raw->on_message(a_.raw->messages[0]);
  EXPECT_EQ(got, (std::vector<Bytes>{Bytes(4, 9)}));
}

}  // namespace
}  // namespace hg::noise
