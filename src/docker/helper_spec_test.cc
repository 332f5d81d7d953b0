// What a helper is made of, and how its secret travels.
#include "docker/helper_spec.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace hg::docker {
namespace {

namespace json = boost::json;

TEST(Helper, HostsThatCanBeNames) {
  for (const char* good : {"mysql.hyper", "db", "a_b", "1web", "web-2.example"}) EXPECT_TRUE(helper_possible(good)) << good;
  for (const char* bad : {"", "localhost", "127.0.0.1", "::1", "a b", "../x", "-x", ".x", "x.", "a/b", "10"})
    EXPECT_FALSE(helper_possible(bad)) << bad;
  EXPECT_FALSE(helper_possible(std::string(254, 'a')));
}

TEST(Helper, SettingsNameTheHostAndNeverTheSecret) {
  HelperSpec spec{"mysql.hyper", "0123456789ab", "net", "img", "owner", {{"HYPERGATE_BOOTSTRAP", "1.2.3.4:5"}}, {}};
  const json::value settings = json::parse(helper_settings(spec));
  EXPECT_EQ(settings.at("Hostname").as_string(), "mysql.hyper");
  EXPECT_EQ(settings.at("Labels").at("hypergate.EXCLUDE").as_string(), "true");
  EXPECT_EQ(settings.at("NetworkingConfig").at("EndpointsConfig").at("net").at("Aliases").at(0).as_string(), "mysql.hyper");
  const std::string environment = json::serialize(settings.at("Env"));
  for (const char* part : {"HYPERGATE_ROUTER_FILE=/run/hypergate/router", "HYPERGATE_LISTEN=0.0.0.0",
                           "HYPERGATE_GATEWAY=/run/hypergate/filter.json", "HYPERGATE_NO_RELAY=true", "HYPERGATE_BOOTSTRAP=1.2.3.4:5"})
    EXPECT_NE(environment.find(part), std::string::npos) << part;
  EXPECT_EQ(environment.find("HYPERGATE_ROUTER="), std::string::npos);
  EXPECT_EQ(helper_name(spec.host, spec.router), "mysql.hyper-hypergate-gateway-0123456789ab");
}

TEST(Helper, FilterIsTheGatewaysNarrowed) {
  EXPECT_EQ(helper_filter({}, "db"), R"([{"serviceHost":"db"}])");
  tunnel::GateMatch port;
  port.gate_port = 3306;
  tunnel::GateMatch other;
  other.service_host = "web";
  EXPECT_EQ(helper_filter({port, other}, "db"), R"([{"serviceHost":"db","gatePort":3306}])");
  EXPECT_TRUE(filter_concerns({}, "db"));
  EXPECT_TRUE(filter_concerns({other, port}, "db"));
  EXPECT_FALSE(filter_concerns({other}, "db"));
}

TEST(Tar, FileWithModeAndOwner) {
  const std::string archive = helper_archive("secret\n", "[]");
  ASSERT_EQ(archive.size() % 512, 0u);
  ASSERT_GE(archive.size(), 6u * 512);
  EXPECT_STREQ(archive.data(), "run");
  EXPECT_EQ(archive[156], '5');
  const char* file = archive.data() + 1024;
  EXPECT_STREQ(file, "run/hypergate/router");
  EXPECT_STREQ(file + 100, "0000400");
  EXPECT_STREQ(file + 108, "0177774");  // 65532
  EXPECT_STREQ(file + 124, "00000000007");
  EXPECT_STREQ(file + 257, "ustar");
  EXPECT_STREQ(file + 512, "secret\n");
  uint32_t sum = 0;
  for (int i = 0; i < 512; ++i) sum += i >= 148 && i < 156 ? ' ' : static_cast<unsigned char>(file[i]);
  EXPECT_EQ(std::stoul(std::string(file + 148, 6), nullptr, 8), sum);
  const char* filter = file + 1024;
  EXPECT_STREQ(filter, "run/hypergate/filter.json");
  EXPECT_STREQ(filter + 100, "0000444");
  EXPECT_STREQ(filter + 512, "[]");
}

}  // namespace
}  // namespace hg::docker
