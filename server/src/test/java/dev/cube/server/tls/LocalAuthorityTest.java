package dev.cube.server.tls;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.cert.CertPathValidator;
import java.security.cert.CertificateFactory;
import java.security.cert.PKIXParameters;
import java.security.cert.TrustAnchor;
import java.security.cert.X509Certificate;
import java.time.Duration;
import java.time.Instant;
import java.util.Date;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LocalAuthorityTest {
    @TempDir
    private Path temporary;
    private Path directory;
    private Instant now = Instant.parse("2026-01-01T00:00:00Z");

    @BeforeEach
    void names() {
        directory = temporary.resolve("tls");
    }

    private TlsFiles issue(String domain) {
        return new LocalAuthority(directory, () -> now, List.of(temporary.resolve("system.pem"))).issue(domain);
    }

    private static X509Certificate certificate(Path file) throws Exception {
        return Pem.certificate(Files.readAllBytes(file));
    }

    private void assertTrusted(TlsFiles files) throws Exception {
        var parameters = new PKIXParameters(Set.of(new TrustAnchor(certificate(files.authority()), null)));
        parameters.setRevocationEnabled(false);
        parameters.setDate(Date.from(now));
        var path = CertificateFactory.getInstance("X.509")
                .generateCertPath(List.of(certificate(files.certificate())));
        assertThatCode(() -> CertPathValidator.getInstance("PKIX").validate(path, parameters))
                .doesNotThrowAnyException();
    }

    @Test
    void issuesForTheDomainAndNamesBelow() throws Exception {
        TlsFiles files = issue("cube.localhost");

        assertTrusted(files);
        assertThat(certificate(files.certificate()).getSubjectAlternativeNames()).extracting(name -> (Object) name.get(1))
                .contains("cube.localhost", "*.cube.localhost", "localhost", "127.0.0.1");
        assertThat(certificate(files.authority()).getBasicConstraints()).isZero();
        assertThat(certificate(files.certificate()).getBasicConstraints()).isEqualTo(-1);
    }

    @Test
    void keysAreTheOwnersOnly() throws Exception {
        TlsFiles files = issue("cube.localhost");

        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(files.key()))).isEqualTo("rw-------");
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(directory.resolve("ca-key.pem"))))
                .isEqualTo("rw-------");
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(files.bundle())))
                .isEqualTo("rw-r--r--");
        try (var left = Files.list(directory)) {
            assertThat(left).hasSize(5);
        }
    }

    @Test
    void keepsWhatIsGood() throws Exception {
        TlsFiles files = issue("cube.localhost");
        X509Certificate authority = certificate(files.authority());
        X509Certificate server = certificate(files.certificate());
        now = now.plus(Duration.ofDays(700));

        issue("cube.localhost");

        assertThat(certificate(files.authority())).isEqualTo(authority);
        assertThat(certificate(files.certificate())).isEqualTo(server);
    }

    @Test
    void reissuesNearTheEndAndForAnotherDomain() throws Exception {
        TlsFiles files = issue("cube.localhost");
        X509Certificate authority = certificate(files.authority());
        X509Certificate first = certificate(files.certificate());

        issue("other.example");
        X509Certificate second = certificate(files.certificate());
        now = now.plus(Duration.ofDays(745));
        issue("other.example");
        X509Certificate third = certificate(files.certificate());

        assertThat(List.of(first, second, third)).doesNotHaveDuplicates();
        assertThat(certificate(files.authority())).isEqualTo(authority);
        assertTrusted(files);
    }

    @Test
    void replacesTheAuthorityNearItsEnd() throws Exception {
        TlsFiles files = issue("cube.localhost");
        X509Certificate authority = certificate(files.authority());
        now = now.plus(Duration.ofDays(18 * 365));

        issue("cube.localhost");

        assertThat(certificate(files.authority())).isNotEqualTo(authority);
        assertTrusted(files);
    }

    @Test
    void replacesWhatIsDamaged() throws Exception {
        TlsFiles files = issue("cube.localhost");
        byte[] foreignKey = Files.readAllBytes(directory.resolve("ca-key.pem"));
        Files.write(files.key(), foreignKey);
        issue("cube.localhost");
        assertThat(Files.readAllBytes(files.key())).isNotEqualTo(foreignKey);

        Files.writeString(directory.resolve("ca-key.pem"), "-----BEGIN PRIVATE KEY-----\n!\n-----END PRIVATE KEY-----");
        issue("cube.localhost");
        assertTrusted(files);
        Files.writeString(files.certificate(), "nothing");
        issue("cube.localhost");
        assertTrusted(files);
    }

    @Test
    void bundleHoldsTheSystemsAuthoritiesToo() throws Exception {
        Files.writeString(temporary.resolve("system.pem"), "system authorities");

        TlsFiles files = issue("cube.localhost");

        assertThat(Files.readString(files.bundle()))
                .isEqualTo("system authorities\n" + Files.readString(files.authority()));
    }
}
