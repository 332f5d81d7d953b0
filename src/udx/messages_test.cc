// Unordered messages: how they leave.
#include <gtest/gtest.h>

#include "sim/world.h"
#include "udx/test_link.h"

namespace hg::udx {
namespace {

using Link = test::BasicLink<sim::World, sim::Host, sim::Path>;

struct Messages : testing::Test {
  Messages() {
    link.b.stream->set_message_handler([this](ByteView message) { got.emplace_back(as_text(message)); });
  }
  void send(std::string text) {
    EXPECT_TRUE(link.a.stream->send_message(as_bytes(text)));
    sent.push_back(std::move(text));
  }
  test::FlakySocket& socket() { return *link.pa.socket; }

  Link link{{.delay = 10ms}};
  std::vector<std::string> sent;
  std::vector<std::string> got;
};

TEST_F(Messages, OfOneTurnLeaveInOneCall) {
  for (int i = 0; i < 20; ++i) send(std::string(100, static_cast<char>('a' + i)));
  send("a shorter one is the last of its call");
  send(std::string(100, 'z'));
  EXPECT_EQ(socket().runs, 1) << "the first call is over, the rest waits for the end of the turn";
  link.world.run_for(1s);
  EXPECT_EQ(got, sent);
  EXPECT_EQ(socket().runs, 2);
  EXPECT_EQ(socket().datagrams, 22);
}

TEST_F(Messages, ManyTakeAsManyCallsAsTheKernelNeeds) {
  for (int i = 0; i < 100; ++i) send(std::to_string(1000 + i));
  for (int i = 0; i < 100; ++i) send(std::string(1152, static_cast<char>(i)));
  link.world.run_for(1s);
  EXPECT_EQ(got, sent);
  EXPECT_EQ(socket().runs, 4) << "64 datagrams or 60 KB each";
}

TEST_F(Messages, LeaveBeforeTheStreamDoes) {
  send("last words");
  link.a.stream->destroy();
  link.world.run_for(1s);
  EXPECT_EQ(got, sent);
  EXPECT_EQ(link.b.close_code, "ECONNRESET");
}

TEST_F(Messages, GoWhereThePeerWasWhenTheyWereSent) {
  send("to the old place");
  const auto elsewhere = link.pa.open();
  link.a.stream->relocate(*elsewhere, link.at_b(), link.b.stream->id());
  EXPECT_EQ(socket().runs, 1);
  EXPECT_EQ(elsewhere->runs, 0);
  link.world.run_for(100ms);
  EXPECT_EQ(got, sent);
  link.a.stream.reset();  // before its socket
}

}  // namespace
}  // namespace hg::udx
