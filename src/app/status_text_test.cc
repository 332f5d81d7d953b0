#include "app/status_text.h"

#include <gtest/gtest.h>

namespace hg::app {
namespace {

const char* const kStatus = R"({"ready":true,"everything":true,"uptimeMs":11520000,"router":"ab","dht":{"nodes":24,"health":"online"},
  "roles":["provider","gateway"],
  "traffic":{"channels":3,"channelsTotal":120,"bytesToPeers":1500,"bytesFromPeers":2500000000,"mbpsToPeers":0.0125,"mbpsFromPeers":null},
  "routes":{"offered":3,"filtered":1,"silent":2,"unusable":0},
  "gates":{"count":3,"open":1,"clients":2,"list":[
    {"port":443,"protocol":"tcp","open":false,"fault":"cannot listen on 0.0.0.0:443: Address already in use","serviceHost":"web.hyper","servicePort":443,
     "providers":{"count":9,"list":["0123456789abcdef","fedcba9876543210"]},"silentProviders":1,"conflicts":{"count":1,"list":["other.hyper"]},"clients":0,
     "bytesToPeers":0,"bytesFromPeers":0,"mbpsToPeers":0,"mbpsFromPeers":0},
    {"port":8080,"protocol":"tcp","open":true,"fault":null,"serviceHost":"unix:/run/app.sock","servicePort":0,"providers":{"count":0,"list":[]},
     "silentProviders":0,"conflicts":{"count":0,"list":[]},"clients":2,
     "bytesToPeers":2500,"bytesFromPeers":3000000000,"mbpsToPeers":0,"mbpsFromPeers":12.5}]},
  "services":{"count":1,"list":[{"gatePort":53,"protocol":"udp","serviceHost":"127.0.0.1","servicePort":53,"works":false,"connected":2,"connectedMsAgo":90000,
     "refused":4,"refusedMsAgo":12000,"refusedWhy":"ECONNREFUSED","bytesToPeers":70,"bytesFromPeers":1500,"mbpsToPeers":0.00005,"mbpsFromPeers":null}]},
  "peers":{"count":1,"list":[{"peer":"0123456789abcdef0123","role":"provider","answering":false,"relayed":true,"relay":"fedcba9876543210","address":"192.0.2.1:4000",
     "rttMs":12.34,"loss":0.021,"connectedMs":90061000,"bytesToPeer":999,"bytesFromPeer":1000,"mbpsToPeer":1.5,"mbpsFromPeer":null}]},
  "refused":{"channels":{"connect":3,"timeout":1},"channelsDropped":{},"datagramsDropped":{},"messages":{}},
  "unlimited":{"count":1,"list":[{"ip":"203.0.113.10","leftMs":600000}]},
  "relay":{"serving":true,"pairs":1,"pairsTotal":2,"bytes":1000,"refused":0},
  "warnings":{"count":1,"list":[{"level":"warning","component":"relay","message":"service: \u001b[2J","msAgo":3000}]}})";

bool says(const std::string& text, std::string_view what) { return text.find(what) != std::string::npos; }

TEST(StatusText, TellsEachThing) {
  const std::string text = status_text(boost::json::parse(kStatus));
  for (const char* part : {
           "network         part of it; DHT online, nodes known: 24\n",
           "running         as provider and gateway, for 3 h 12 min\n",
           "traffic         1.5 kB at 12.5 kbit/s to peers, 2.5 GB from peers\n",
           "gates           1 open of 3; clients: 2\n",
           "routes that do not pass the filter: 1 of 3\n",
           "routes of silent providers: 2 of 3; their gates close after 15 s\n",
           "GATE      SERVICE             PROVIDERS                     CLIENTS  TO PEERS  FROM PEERS             STATE\n",
           "443/tcp   web.hyper:443       01234567 fedcba98 and 7 more  0        0 B       0 B                    not open: cannot listen "
           "on 0.0.0.0:443: Address already in use, 1 silent, also wanted for other.hyper\n",
           "8080/tcp  unix:/run/app.sock                                2        2.5 kB    3.0 GB at 12.5 Mbit/s  open\nand 1 more\n",
           "OFFERED AS  SERVICE       TO PEERS          FROM PEERS  STATE\n",
           "53/udp      127.0.0.1:53  70 B at 50 bit/s  1.5 kB      refuses; connected 2, last 1 min ago; refused 4, last 12 s ago: "
           "ECONNREFUSED\n",
           "0123456789abcdef  provider  silent  by fedcba98  192.0.2.1:4000  12.3 ms  2.1 %  1 d 1 h  999 B at 1.5 Mbit/s  1.0 kB\n",
           "refused         connect 3, timeout 1\n",
           "unlimited       203.0.113.10, for 10 min\n",
           "relaying        pairs: 1 now, 2 in all, 1.0 kB passed on; refused 0\n",
           "warning         3 s ago: relay: service: ?[2J\n",
       })
    EXPECT_TRUE(says(text, part)) << part << "\nis not in\n" << text;
}

TEST(StatusText, SaysWhatIsKeptBack) {
  auto status = boost::json::parse(kStatus);
  status.as_object()["everything"] = false;
  EXPECT_TRUE(says(status_text(status), "told on the machine itself only"));
}

TEST(StatusText, TakesWhateverAnotherProgramAnswers) {
  for (const char* text :
       {R"({})", R"({"ready":"yes","roles":7,"gates":[],"peers":{"list":{"a":1},"count":-1},"traffic":5,"uptimeMs":1e300})",
        R"({"gates":{"list":[1,null,{}],"count":1e300,"open":"x"},"services":{"list":[{}]},"peers":{"list":[{"peer":1}]},"refused":3})",
        R"({"warnings":{"list":[{}]},"unlimited":{"list":["x"]},"relay":{"serving":true},"uptimeMs":-5})"})
    EXPECT_TRUE(says(status_text(boost::json::parse(text)), "not part of it")) << text;
}

}  // namespace
}  // namespace hg::app
