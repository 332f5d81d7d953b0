#include "app/docker_mode.h"

#include <gtest/gtest.h>

#include "crypto/crypto.h"
#include "support/docker_engine.h"

namespace hg::app {
namespace {

using namespace docker::test;

struct NoLinks final : tunnel::ServiceConnector {
  void connect(tunnel::ServiceRequest, std::unique_ptr<tunnel::Channel>) override {}
};

class DockerModeTest : public WithEngine {
 protected:
  static Config config(const std::string& socket) {
    crypto::init();
    Config config;
    config.provider = true;
    config.router.emplace();
    config.docker = DockerOptions{socket, "net", {}};
    return config;
  }
  /// What is advertised once the container is known, and the files have changed to `later`.
  std::vector<tunnel::Service> offered_with(std::vector<tunnel::Service> files, std::optional<std::vector<tunnel::Service>> later = {}) {
    const Config settings = config(folder_ + "/d.sock");
    const tunnel::RouterKeys router = tunnel::derive_router_keys(*settings.router);
    DockerMode mode(loop_, settings, router.keys.public_key, std::move(files), {}, &links_);
    tunnel::NodeOptions options;
    options.connector = &mode;
    tunnel::Node node(loop_, router, std::move(options));
    mode.start(node);
    const auto& services = node.provider()->services();
    EXPECT_TRUE(until([&] {
      return std::any_of(services.begin(), services.end(), [](const auto& s) { return s.tags.find("docker") != std::string::npos; });
    }));
    if (later) mode.set_files(std::move(*later));
    return services;
  }

  NoLinks links_;
};

TEST_F(DockerModeTest, AContainersServiceThatIsInAFileIsTheFilesWithTheTagsOfBoth) {
  fake_.containers[id_of('a')] = described('a', "db", {"mysql.hyper"}, {}, {{"3306/tcp", json::object{}}, {"80/tcp", json::object{}}});
  const std::string policy = R"({"defaults":{"allow":false}})";
  const tunnel::Service file{3306, "mysql.hyper", 3306, tunnel::Protocol::kTcp, "mine", policy};
  const auto services = offered_with({file});
  ASSERT_EQ(services.size(), 2u);
  EXPECT_EQ(services[0].gate_port, 3306);
  EXPECT_EQ(services[0].ingress_policy, policy);
  EXPECT_EQ(services[0].tags, "mine docker");
  EXPECT_EQ(services[1].gate_port, 80);
  EXPECT_EQ(services[1].tags, "docker");
}

TEST_F(DockerModeTest, FilesThatChangeTakeTheirPlaceAmongTheContainersServices) {
  fake_.containers[id_of('a')] = described('a', "db", {"mysql.hyper"}, {}, {{"3306/tcp", json::object{}}});
  const tunnel::Service file{3306, "mysql.hyper", 3306, tunnel::Protocol::kTcp, "mine", {}};
  const tunnel::Service other{80, "web", 80, tunnel::Protocol::kTcp, {}, {}};
  const auto services = offered_with({file}, {{other}});
  ASSERT_EQ(services.size(), 2u);
  EXPECT_EQ(services[0], other);
  EXPECT_EQ(services[1].gate_port, 3306);
  EXPECT_EQ(services[1].tags, "docker") << "the container's own again";
}

}  // namespace
}  // namespace hg::app
