// Two real peers over a network that the input decides: what one writes the other reads, in order and complete, whatever is
// lost, held back, doubled, paused or ended meanwhile. Input: one byte of network, then one byte per step.
#include <cstdlib>

#include "sim/world.h"
#include "udx/test_link.h"

using namespace hg;
using Link = udx::test::BasicLink<sim::World, sim::Host, sim::Path>;

namespace {

void act(Link& link, uint8_t step, uint8_t argument) {
  udx::test::App& app = step & 1 ? link.a : link.b;
  switch ((step >> 1) & 7) {
    case 0:
      if (!app.end_called) app.send(argument, false, 1 + (argument & 31));
      break;
    case 1:
      if (!app.end_called) app.send(argument * 500ull);
      break;
    case 2:
      app.stream->pause_reading();
      break;
    case 3:
      app.stream->resume_reading();
      break;
    case 4:
      link.world.run_for(std::chrono::milliseconds(argument));
      break;
    case 5:
      app.stream->probe_peer();
      if (argument & 1 && app.stream->connected())
        app.stream->relocate(*app.stream->socket(), app.stream->remote(), app.stream->remote_id());
      app.stream->send_message(Bytes(argument));
      break;
    case 6:
      app.peer.socket->verdict = argument & 1 ? SendResult::kWouldBlock : SendResult::kSent;
      if (!(argument & 1)) app.peer.socket->become_writable();
      break;
    default:
      link.world.set_path(
          link.ha, link.hb,
          {.delay = std::chrono::milliseconds(1 + (argument & 15)), .loss = (argument >> 4) / 40.0, .mtu = argument & 1 ? 1300u : 65535u});
      break;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  udx::StreamOptions options;
  options.receive_window = 8u << (10 + (data[0] & 7));
  options.write_high_water = 1 << 16;
  options.dead_after = 1h;
  Link link(
      {.delay = 5ms, .jitter = std::chrono::milliseconds(data[0] >> 5), .loss = (data[0] & 3) / 20.0, .duplicate = 0.05, .reorder = 0.05},
      data[0], options);
  for (size_t i = 1; i + 1 < size && i < 400; i += 2) act(link, data[i], data[i + 1]);
  for (udx::test::App* app : {&link.a, &link.b}) {
    app->peer.socket->verdict = SendResult::kSent;
    app->peer.socket->become_writable();
    app->stream->resume_reading();
    app->send(0, true);
  }
  link.world.set_path(link.ha, link.hb, {.delay = 5ms, .loss = 0.02});
  if (!link.until_closed(600s)) std::abort();
  if (!link.a.intact || !link.b.intact) std::abort();
  if (link.a.received != link.b.to_send || link.b.received != link.a.to_send) std::abort();
  if (!link.a.close_code.empty() || !link.b.close_code.empty()) std::abort();
  return 0;
}
