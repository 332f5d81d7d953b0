// Whatever befell two peers that wrote, read, paused and moved: once the path is good again all arrives, intact, and soon.
#include <gtest/gtest.h>

#include "sim/world.h"
#include "udx/test_link.h"

namespace hg::udx {
namespace {

using sim::Path;
using test::App;
using test::FlakySocket;
using Link = test::BasicLink<sim::World, sim::Host, Path>;

/// One storm, all of it decided by the seed.
class Storm {
 public:
  explicit Storm(uint64_t seed)
      : random_(seed * 7919 + 1), link_(path(), seed, options()), more_a_(link_.pa.open()), more_b_(link_.pb.open()) {
    for (App* app : {&link_.a, &link_.b}) app->stream->set_firewall([](UdpSocket&, const Endpoint&) { return true; });
  }
  ~Storm() {
    link_.a.stream.reset();  // before the sockets
    link_.b.stream.reset();
  }

  void rage() {
    for (uint32_t left = 5 + below(80); left > 0; --left) strike(below(2) ? link_.a : link_.b);
  }
  /// How long until all has arrived, on a good path; `limit` where it does not.
  Duration calm(Duration limit) {
    link_.world.set_path(link_.ha, link_.hb, {.delay = 10ms});
    for (App* app : {&link_.a, &link_.b}) app->stream->resume_reading();
    const TimePoint start = link_.world.now();
    const auto done = [&] { return link_.b.received == link_.a.to_send && link_.a.received == link_.b.to_send; };
    return link_.world.run_until(done, limit) && link_.a.intact && link_.b.intact ? link_.world.now() - start : limit;
  }

 private:
  uint32_t below(uint32_t n) { return random_.below(n); }
  Duration ms(uint32_t n) { return std::chrono::milliseconds(below(n)); }

  StreamOptions options() {
    StreamOptions options;
    options.receive_window = 65536u << below(9);
    options.write_high_water = 4096u << below(9);
    options.dead_after = 1h;
    options.first_seq = below(2) ? 0u - below(3000) : 0x80000000u - below(2000);
    return options;
  }
  Path path() {
    Path p;
    p.delay = 1ms + ms(below(4) ? 40 : 400);
    if (below(3) == 0) p.jitter = ms(below(2) ? 10 : 200);
    if (below(4) == 0) p.swing = ms(100);
    if (below(2)) p.loss = below(1000) / (below(3) ? 10000.0 : 2000.0);
    if (below(5) == 0) p.burst = ms(1500);
    if (below(3) == 0) p.duplicate = below(100) / 500.0;
    if (below(3) == 0) p.reorder = below(100) / 500.0;
    if (below(3)) p.rate_bps = 50e3 * (1 << below(12));
    p.queue_bytes = 4000u << below(9);
    if (below(3) == 0) p.mtu = 520 + below(980);
    return p;
  }

  void strike(App& app) {
    switch (below(12)) {
      case 0:
        return app.send(below(3000), false, 1 + below(40));
      case 1:
      case 2:
        return app.send(below(1u << (8 + below(13))));
      case 3:
        return app.stream->pause_reading();
      case 4:
        return app.stream->resume_reading();
      case 5:
        return link_.world.run_for(ms(below(3) ? 200 : 4000));
      case 6:
        app.stream->probe_peer();
        app.stream->send_message(Bytes(below(1400)));
        return;
      case 7:
        return move();
      case 8:
        return refuse(app);
      case 9:
        return link_.world.set_one_way(link_.ha, link_.hb, path());
      case 10:
        return link_.world.set_path(link_.ha, link_.hb, path());
      default:
        link_.cut(true);
        link_.world.run_for(ms(below(4) ? 1000 : 20000));
        link_.cut(false);
        if (below(2)) app.stream->retry_now();
    }
  }
  /// Both to the same pair of sockets, the second some time after the first, which may have been led elsewhere before.
  void move() {
    if (below(2)) move_a(below(2), below(2));
    const uint32_t at_a = below(2);
    const uint32_t at_b = below(2);
    move_a(at_a, at_b);
    link_.world.run_for(ms(2000));
    link_.b.stream->relocate(*socket(link_.pb, more_b_, at_b), {link_.ha.address(), socket(link_.pa, more_a_, at_a)->local_endpoint().port},
                             link_.a.stream->id());
  }
  void move_a(uint32_t at_a, uint32_t at_b) {
    link_.a.stream->relocate(*socket(link_.pa, more_a_, at_a), {link_.hb.address(), socket(link_.pb, more_b_, at_b)->local_endpoint().port},
                             link_.b.stream->id());
  }
  static FlakySocket* socket(test::Peer& peer, std::unique_ptr<FlakySocket>& more, uint32_t which) {
    return which == 0 ? peer.socket.get() : more.get();
  }
  void refuse(App& app) {
    auto& more = &app == &link_.a ? more_a_ : more_b_;
    const SendResult verdict = below(2) ? SendResult::kWouldBlock : SendResult::kFailed;
    const size_t longest = below(2) ? 1100 + below(380) : 65535;
    for (FlakySocket* s : {app.peer.socket.get(), more.get()}) s->verdict = verdict, s->too_big_above = longest;
    link_.world.run_for(ms(500));
    for (FlakySocket* s : {app.peer.socket.get(), more.get()}) {
      s->verdict = SendResult::kSent;
      s->become_writable();
    }
    link_.world.run_for(ms(100));
    for (FlakySocket* s : {app.peer.socket.get(), more.get()}) s->too_big_above = 65535;
  }

  SeededRng random_;
  Link link_;
  std::unique_ptr<FlakySocket> more_a_;
  std::unique_ptr<FlakySocket> more_b_;
};

// A queue that takes seconds to drain, and timeouts that have learned of it, are what the slowest wait for.
TEST(Storm, IsFollowedByCalm) {
  for (uint64_t seed = 0; seed < 600; ++seed) {
    Storm storm(seed);
    storm.rage();
    EXPECT_LT(storm.calm(60s), 16s) << "seed " << seed;
  }
}

}  // namespace
}  // namespace hg::udx
