package dev.cube.server;

import dev.cube.hypervisor.HypervisorException;
import dev.cube.hypervisor.LiveForkChoice;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine.Option;

/** The command line; each option may be given in the environment instead. */
final class ServerOptions {
    private static final Pattern DOMAIN = Pattern.compile(
            "(?<name>[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*)(:(?<port>[0-9]{1,5}))?");
    private static final int MAX_DOMAIN_CHARS = 180;
    private static final int MAX_PORT = 65535;

    @Option(names = "--home", paramLabel = "DIR", defaultValue = "${env:CUBE_HOME}",
            description = "State directory (CUBE_HOME; /var/lib/cube for root, else ~/.local/share/cube).")
    private Path home;

    @Option(names = "--artifacts", paramLabel = "DIR", defaultValue = "${env:CUBE_ARTIFACTS}",
            description = "Guest kernel, initramfs, memory library (CUBE_ARTIFACTS; <home>/artifacts).")
    private Path artifacts;

    @Option(names = "--api-host", paramLabel = "ADDRESS", split = ",",
            defaultValue = "${env:CUBE_API_HOST:-127.0.0.1,::1}",
            description = "Where the API listens (CUBE_API_HOST; ${DEFAULT-VALUE}). API keys are required unless all "
                    + "are loopback addresses.")
    private List<String> apiHosts;

    @Option(names = "--api-port", paramLabel = "PORT", defaultValue = "${env:CUBE_API_PORT:-3000}",
            description = "The API's port, 0 for any free one (CUBE_API_PORT; ${DEFAULT-VALUE}).")
    private int apiPort;

    @Option(names = "--proxy-host", paramLabel = "ADDRESS", split = ",",
            defaultValue = "${env:CUBE_PROXY_HOST:-127.0.0.1,::1}",
            description = "Where requests to sandboxes are taken (CUBE_PROXY_HOST; ${DEFAULT-VALUE}).")
    private List<String> proxyHosts;

    @Option(names = "--proxy-port", paramLabel = "PORT", defaultValue = "${env:CUBE_PROXY_PORT:-8443}",
            description = "Their port, 0 for any free one (CUBE_PROXY_PORT; ${DEFAULT-VALUE}).")
    private int proxyPort;

    @Option(names = "--domain", paramLabel = "NAME[:PORT]", defaultValue = "${env:CUBE_DOMAIN:-cube.localhost}",
            description = "Domain of the sandboxes' host names (CUBE_DOMAIN; ${DEFAULT-VALUE}); with a port where "
                    + "clients see another than the proxy's.")
    private String domain;

    @Option(names = "--accel", paramLabel = "auto|kvm|tcg", defaultValue = "${env:CUBE_ACCEL:-auto}",
            description = "What VMs run on (CUBE_ACCEL; ${DEFAULT-VALUE}).")
    private String accelerator;

    @Option(names = "--live-fork", paramLabel = "on|off|force", defaultValue = "${env:CUBE_LIVE_FORK:-on}",
            description = "Whether VMs without hardware virtualisation are forked from warm ones; force: also with "
                    + "a QEMU that this is not tested with (CUBE_LIVE_FORK; ${DEFAULT-VALUE}).")
    private String liveFork;

    ServerConfig toConfig() {
        Path directory = Optional.ofNullable(home).orElseGet(ServerOptions::defaultHome).toAbsolutePath().normalize();
        Matcher name = DOMAIN.matcher(domain.toLowerCase(Locale.ROOT));
        if (!name.matches() || name.group("name").length() > MAX_DOMAIN_CHARS) {
            throw new StartupException("\"" + domain + "\" is not a domain: give --domain or CUBE_DOMAIN a host name "
                    + "such as cube.localhost");
        }
        OptionalInt advertised = name.group("port") == null ? OptionalInt.empty()
                : OptionalInt.of(port("domain", Integer.parseInt(name.group("port"))));
        return new ServerConfig(directory,
                Optional.ofNullable(artifacts).orElse(directory.resolve("artifacts")).toAbsolutePath().normalize(),
                new Endpoint(apiHosts, port("api-port", apiPort)), new Endpoint(proxyHosts, port("proxy-port", proxyPort)),
                name.group("name"), advertised, accelerator, liveFork(liveFork));
    }

    private static int port(String option, int port) {
        if (port < 0 || port > MAX_PORT) {
            throw new StartupException("%d is not a port: give --%s 0 to %d".formatted(port, option, MAX_PORT));
        }
        return port;
    }

    private static LiveForkChoice liveFork(String text) {
        try {
            return LiveForkChoice.parse(text);
        } catch (HypervisorException e) {
            throw new StartupException("--live-fork: " + e.getMessage());
        }
    }

    private static Path defaultHome() {
        return System.getProperty("user.name").equals("root") ? Path.of("/var/lib/cube")
                : Path.of(System.getProperty("user.home"), ".local", "share", "cube");
    }
}
