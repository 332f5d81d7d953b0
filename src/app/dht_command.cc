#include "app/dht_command.h"

#include <csignal>

#include "app/network.h"
#include "base/log.h"
#include "crypto/crypto.h"

namespace hg::app {

int run_dht(const Config& config) {
  io::Loop loop(crypto::system_rng());
  Network network(loop);
  if (auto opened = network.open_dht_node(config); !opened) {
    HG_LOG(kError, "dht", "{}", opened.error().message);
    return 1;
  }
  ServiceManager manager(loop, config.manager);
  manager.ready([&] { return joined(network.dht()) ? "in touch with other DHT nodes" : "no other DHT node answers"; });
  const std::string host = config.dht_host.empty() ? "0.0.0.0" : config.dht_host;
  HG_LOG(kInfo, "dht", "listening on {}:{}", host, network.dht().server_port());
  network.dht().on_ready([&] { HG_LOG(kInfo, "dht", "ready, nodes known: {}", network.dht().table_size()); });
  bool stopping = false;
  loop.on_signals({SIGINT, SIGTERM, SIGHUP}, [&](int) {
    if (stopping) return loop.stop();
    stopping = true;
    manager.stopping();
    network.close([&] { loop.stop(); });
  });
  loop.run();
  HG_LOG(kInfo, "dht", "stopped");
  return 0;
}

}  // namespace hg::app
