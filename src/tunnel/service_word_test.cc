// Services as words of the command line.
#include "tunnel/service_word.h"

#include <gtest/gtest.h>

#include <map>

#include "tunnel/service.h"

namespace hg::tunnel {
namespace {

/// "gate host:port protocol, …", the fault, or "no word".
std::string read(std::string_view word) {
  const auto text = services_of_words(word);
  if (!text) return "no word";
  const auto services = parse_services(*text, word);
  if (!services) return services.error().message;
  std::string out;
  for (const Service& s : *services)
    out += (out.empty() ? "" : ", ") + std::to_string(s.gate_port) + " " + s.service_host + ":" + std::to_string(s.service_port) + " " +
           std::string(protocol_name(s.protocol));
  return out;
}

TEST(ServiceWord, AreServices) {
  EXPECT_EQ(read("8080"), "8080 127.0.0.1:8080 tcp");
  EXPECT_EQ(read("8080=80"), "8080 127.0.0.1:80 tcp");
  EXPECT_EQ(read("5432=db.lan:5433"), "5432 db.lan:5433 tcp");
  EXPECT_EQ(read("5432=db.lan"), "5432 db.lan:5432 tcp");
  EXPECT_EQ(read("localhost:3000"), "3000 localhost:3000 tcp");
  EXPECT_EQ(read("53/udp"), "53 127.0.0.1:53 udp");
  EXPECT_EQ(read("53=[::1]:5353/tcp+udp"), "53 ::1:5353 tcp, 53 ::1:5353 udp");
  EXPECT_EQ(read("[fe80::1]:80"), "80 fe80::1:80 tcp");
  EXPECT_EQ(read("53=[::1]"), "53 ::1:53 tcp");
  EXPECT_EQ(read("8000-8001=9000-9001"), "8000 127.0.0.1:9000 tcp, 8001 127.0.0.1:9001 tcp");
  EXPECT_EQ(read("8000-8001"), "8000 127.0.0.1:8000 tcp, 8001 127.0.0.1:8001 tcp");
  EXPECT_EQ(read("443=unix:/run/a=b:1/app.sock"), "443 unix:/run/a=b:1/app.sock:443 tcp");
}

TEST(ServiceWord, MayBeSeveral) {
  EXPECT_EQ(read(" 8080=80  53/udp "), "8080 127.0.0.1:80 tcp, 53 127.0.0.1:53 udp");
  EXPECT_NE(read("8080=80 8080=81").find("has this gate already"), std::string::npos);
}

TEST(ServiceWord, FaultsAreSaid) {
  for (const char* word : {"0", "70000", "8080=0", "999999999", "80/sctp", "8080=80/", "8080=", "8080=:80", "8000-8002=9000-9001", "9-8",
                           "8080=http://x:80", "443=unix:app.sock", "8080=::1", "8080=80=81"})
    EXPECT_NE(read(word).find("not accepted"), std::string::npos) << word << ": " << read(word);
}

// Docker's habit; taken for hosts, such services would be refused with each connection only.
TEST(ServiceWord, ColonsBetweenPortsAreRefusedWithTheWordThatIsMeant) {
  EXPECT_EQ(read("8080:80"),
            "8080:80: $[0].serviceHost: \"8080\" is not accepted; a name or an IP address; for a port of 127.0.0.1 give 8080=80");
  for (const auto& [word, meant] : std::map<std::string, std::string>{
           {"8080:80/udp", "8080=80"}, {"18108=80:90", "18108=90"}, {"8000-8001:9000-9001", "8000-8001=9000-9001"}})
    EXPECT_TRUE(read(word).ends_with(" give " + meant)) << read(word);
  EXPECT_EQ(read("1-2:80"), "80 1-2:80 tcp") << "may be a name";
}

TEST(ServiceWord, FilesAndUrlsAreNone) {
  for (const char* word : {"",
                           "services.json",
                           "8080.json",
                           "./8080",
                           "/etc/8080",
                           "a/b:80",
                           "http://127.0.0.1:80",
                           "http://x/8080",
                           "db.lan",
                           "a=b",
                           "=80",
                           "80:",
                           "8080x",
                           "unix:/run/app.sock",
                           "1234567890",
                           "::1",
                           "a b:80",
                           "services.json/tcp",
                           "8080 a.json",
                           " "})
    EXPECT_EQ(read(word), "no word") << word;
}

}  // namespace
}  // namespace hg::tunnel
