package dev.cube.sdk;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.net.URI;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;

class CubeConfigTest {
    @Test
    void readsWhatTheStockClientsRead() {
        CubeConfig config = CubeConfig.from(Map.of("E2B_API_URL", "https://api.example.org/", "E2B_API_KEY", "e2b_1",
                "E2B_DOMAIN", "example.org:8443", "E2B_SANDBOX_URL", "http://10.0.0.1:3001",
                "SSL_CERT_FILE", "/etc/ca.pem"));
        assertThat(config.apiUrl()).isEqualTo(URI.create("https://api.example.org"));
        assertThat(config.apiKey()).isEqualTo("e2b_1");
        assertThat(config.domain()).isEqualTo("example.org:8443");
        assertThat(config.sandboxUrl()).contains(URI.create("http://10.0.0.1:3001"));
        assertThat(config.certificates()).contains(Path.of("/etc/ca.pem"));
    }

    @Test
    void takesEmptyVariablesForAbsentOnes() {
        CubeConfig config = CubeConfig.from(Map.of("E2B_API_URL", "", "SSL_CERT_FILE", " "));
        assertThat(config.apiUrl().getHost()).isEqualTo("127.0.0.1");
        assertThat(config.certificates()).isEmpty();
    }

    @Test
    void namesTheVariableThatIsNoUrl() {
        assertThatThrownBy(() -> CubeConfig.from(Map.of("E2B_API_URL", "localhost:3000")))
                .isInstanceOf(CubeException.class).hasMessageContaining("E2B_API_URL");
        assertThatThrownBy(() -> CubeConfig.from(Map.of("E2B_SANDBOX_URL", "ftp://host")))
                .isInstanceOf(CubeException.class).hasMessageContaining("E2B_SANDBOX_URL");
        assertThatThrownBy(() -> CubeConfig.from(Map.of("E2B_API_URL", "http://a b")))
                .isInstanceOf(CubeException.class).hasMessageContaining("E2B_API_URL");
    }
}
