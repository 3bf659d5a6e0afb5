package dev.cube.server.tls;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.GeneralSecurityException;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The server's own certificate authority, made at first start, and the certificate that it issues for the sandboxes'
 * host names: for the domain and all names one label below it. Clients trust it by {@link TlsFiles#bundle}.
 */
public final class LocalAuthority {
    private static final Logger LOG = LoggerFactory.getLogger(LocalAuthority.class);
    private static final Duration AUTHORITY_LIFETIME = Duration.ofDays(20 * 365);
    /** An authority that ends earlier than this is replaced; clients have to be told then. */
    private static final Duration AUTHORITY_RESERVE = Duration.ofDays(3 * 365);
    /** Some verifiers refuse server certificates that are valid for more than 825 days. */
    private static final Duration SERVER_LIFETIME = Duration.ofDays(800);
    private static final Duration SERVER_RESERVE = Duration.ofDays(60);
    private static final List<String> ADDRESSES = List.of("127.0.0.1", "::1");
    /** Where Debian, Fedora and openSUSE, and Alpine keep the authorities that the system trusts. */
    private static final List<Path> SYSTEM_BUNDLES = List.of(Path.of("/etc/ssl/certs/ca-certificates.crt"),
            Path.of("/etc/pki/tls/certs/ca-bundle.crt"), Path.of("/etc/ssl/ca-bundle.pem"),
            Path.of("/etc/ssl/cert.pem"));

    private final Path directory;
    private final InstantSource clock;
    private final List<Path> systemBundles;

    public LocalAuthority(Path directory) {
        this(directory, InstantSource.system(), SYSTEM_BUNDLES);
    }

    LocalAuthority(Path directory, InstantSource clock, List<Path> systemBundles) {
        this.directory = directory;
        this.clock = clock;
        this.systemBundles = systemBundles;
    }

    /** Makes what is missing, damaged, near its end or for another domain, and keeps the rest. */
    public TlsFiles issue(String domain) {
        var files = new TlsFiles(directory.resolve("ca.pem"), directory.resolve("ca-bundle.pem"),
                directory.resolve("server.pem"), directory.resolve("server-key.pem"));
        try {
            Files.createDirectories(directory);
            CertifiedKey authority = authority(files.authority());
            certifyServer(files, authority, List.of(domain, "*." + domain, "localhost"));
            write(files.bundle(), bundle(authority), false);
            return files;
        } catch (IOException | GeneralSecurityException e) {
            throw new TlsException("The certificates in %s cannot be made: %s".formatted(directory, e), e);
        }
    }

    private CertifiedKey authority(Path certificateFile) throws IOException, GeneralSecurityException {
        Path keyFile = directory.resolve("ca-key.pem");
        Instant now = clock.instant();
        Optional<CertifiedKey> present = load(certificateFile, keyFile)
                .filter(authority -> authority.isValid(now, now.plus(AUTHORITY_RESERVE)));
        if (present.isPresent()) {
            return present.get();
        }
        CertifiedKey authority = CertificateIssuer.authority(now, AUTHORITY_LIFETIME);
        write(keyFile, Pem.encode(authority.key()), true);
        write(certificateFile, Pem.encode(authority.certificate()), false);
        LOG.info("made a certificate authority: {}", certificateFile);
        return authority;
    }

    private void certifyServer(TlsFiles files, CertifiedKey authority, List<String> names)
            throws IOException, GeneralSecurityException {
        Instant now = clock.instant();
        Optional<CertifiedKey> present = load(files.certificate(), files.key());
        if (present.isPresent() && present.get().isValid(now, now.plus(SERVER_RESERVE))
                && isIssuedBy(present.get(), authority) && names(present.get()).containsAll(names)) {
            return;
        }
        CertifiedKey server = CertificateIssuer.server(authority, names, ADDRESSES, now, SERVER_LIFETIME);
        write(files.key(), Pem.encode(server.key()), true);
        write(files.certificate(), Pem.encode(server.certificate()), false);
        LOG.info("issued a certificate for {}", String.join(", ", names));
    }

    /** Empty if it is not there, cannot be read, or the certificate is another key's. */
    private static Optional<CertifiedKey> load(Path certificate, Path key) throws IOException {
        try {
            var loaded = new CertifiedKey(Pem.certificate(Files.readAllBytes(certificate)),
                    Pem.ellipticCurveKey(Files.readAllBytes(key)));
            return loaded.matches() ? Optional.of(loaded) : Optional.empty();
        } catch (NoSuchFileException e) {
            return Optional.empty();
        } catch (GeneralSecurityException e) {
            LOG.warn("{} or {} is damaged and is replaced: {}", certificate, key, e.getMessage());
            return Optional.empty();
        }
    }

    private static boolean isIssuedBy(CertifiedKey server, CertifiedKey authority) {
        try {
            server.certificate().verify(authority.certificate().getPublicKey());
            return true;
        } catch (GeneralSecurityException e) {
            return false;
        }
    }

    private static Set<Object> names(CertifiedKey server) throws GeneralSecurityException {
        Collection<List<?>> entries = server.certificate().getSubjectAlternativeNames();
        var names = new HashSet<Object>();
        for (List<?> entry : entries == null ? List.<List<?>>of() : entries) {
            names.add(entry.get(1));
        }
        return names;
    }

    private byte[] bundle(CertifiedKey authority) throws IOException, GeneralSecurityException {
        byte[] own = Pem.encode(authority.certificate());
        for (Path system : systemBundles) {
            if (Files.isReadable(system)) {
                byte[] trusted = Files.readAllBytes(system);
                byte[] all = Arrays.copyOf(trusted, trusted.length + 1 + own.length);
                all[trusted.length] = '\n';
                System.arraycopy(own, 0, all, trusted.length + 1, own.length);
                return all;
            }
        }
        return own;
    }

    private void write(Path file, byte[] content, boolean secret) throws IOException {
        if (!secret && Files.exists(file) && Arrays.equals(Files.readAllBytes(file), content)) {
            return;
        }
        FileAttribute<Set<PosixFilePermission>> permissions =
                PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------"));
        Path fresh = Files.createTempFile(directory, file.getFileName().toString(), ".new", permissions);
        try {
            Files.write(fresh, content);
            if (!secret) {
                Files.setPosixFilePermissions(fresh, PosixFilePermissions.fromString("rw-r--r--"));
            }
            Files.move(fresh, file, StandardCopyOption.ATOMIC_MOVE);
        } finally {
            Files.deleteIfExists(fresh);
        }
    }
}
