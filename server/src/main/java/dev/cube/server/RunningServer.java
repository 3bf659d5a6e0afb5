package dev.cube.server;

import dev.cube.api.ApiSettings;
import dev.cube.api.RestApi;
import dev.cube.cubelet.Cubelet;
import dev.cube.cubelet.LocalCubelet;
import dev.cube.cubelet.NodeLimits;
import dev.cube.envd.daemon.Envd;
import dev.cube.envd.interpreter.CodeInterpreter;
import dev.cube.guest.AgentConnection;
import dev.cube.http.HttpServers;
import dev.cube.http.RequestBody;
import dev.cube.hypervisor.AcceleratorChoice;
import dev.cube.hypervisor.HypervisorConfig;
import dev.cube.hypervisor.HypervisorException;
import dev.cube.hypervisor.QemuHypervisor;
import dev.cube.image.BaseDiskBuilder;
import dev.cube.image.DockerConfigCredentials;
import dev.cube.image.UnpackLimits;
import dev.cube.master.Master;
import dev.cube.master.MasterException;
import dev.cube.master.SandboxInfo;
import dev.cube.master.SandboxQuery;
import dev.cube.master.Sandboxes;
import dev.cube.proxy.SandboxProxy;
import dev.cube.server.tls.LocalAuthority;
import dev.cube.server.tls.TlsException;
import dev.cube.server.tls.TlsFiles;
import io.micrometer.core.instrument.binder.jvm.JvmMemoryMetrics;
import io.micrometer.core.instrument.binder.system.ProcessorMetrics;
import io.micrometer.prometheusmetrics.PrometheusConfig;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import io.micrometer.core.instrument.FunctionCounter;
import io.vertx.core.Vertx;
import io.vertx.core.VertxOptions;
import io.vertx.core.file.FileSystemOptions;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The server with all its parts, from the lock on its home directory to {@code server.json} in it. */
final class RunningServer implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(RunningServer.class);
    private static final int HTTPS_PORT = 443;
    private static final int PAGE = 100;
    private static final SandboxQuery RUNNING = SandboxQuery.of(Map.of(), Set.of(SandboxInfo.State.RUNNING));

    private final CloseStack parts = new CloseStack();
    private final CountDownLatch stopRequested = new CountDownLatch(1);

    private RunningServer() {}

    /** Returns when requests are served; throws {@link StartupException}, and leaves nothing open then. */
    static RunningServer start(ServerConfig config) {
        var server = new RunningServer();
        try {
            server.open(config);
            return server;
        } catch (StartupException e) {
            server.close();
            throw e;
        } catch (HypervisorException | MasterException | TlsException | IOException e) {
            server.close();
            throw new StartupException(e.getMessage(), e);
        } catch (RuntimeException | Error e) {
            server.close();
            throw e;
        }
    }

    private void open(ServerConfig config) throws IOException {
        Home home = parts.push("home directory", Home.open(config.home()));
        var serverFile = new ServerFile(home);
        serverFile.remove();
        TlsFiles tls = new LocalAuthority(home.resolve("tls")).issue(config.domain());
        var meters = new PrometheusMeterRegistry(PrometheusConfig.DEFAULT);
        new JvmMemoryMetrics().bindTo(meters);
        new ProcessorMetrics().bindTo(meters);

        QemuHypervisor hypervisor = parts.push("hypervisor", QemuHypervisor.open(
                HypervisorConfig.of(config.home(), config.artifacts())
                        .withAccelerator(AcceleratorChoice.parse(config.accelerator()))
                        .withLiveFork(config.liveFork())));
        FunctionCounter.builder("cube.vm.forks", hypervisor, QemuHypervisor::forked)
                .description("VMs made by live fork").register(meters);
        FunctionCounter.builder("cube.vm.fork.failures", hypervisor, QemuHypervisor::failedForks)
                .description("Live forks that failed; a VM was restored instead").register(meters);
        Cubelet cubelet = parts.push("cubelet", new LocalCubelet(hypervisor, AgentConnection::open,
                new BaseDiskBuilder(UnpackLimits.DEFAULT, DockerConfigCredentials.ofEnvironment()),
                new StandardPreparation(), NodeLimits.forMachine(), meters));
        Master master = parts.push("master", Master.open(config.home(), cubelet, meters));

        Envd envd = new Envd(new LoggedProcesses(master.logs()));
        var proxy = new SandboxProxy(new RunningSandboxDirectory(master.sandboxes()),
                List.of(envd, new CodeInterpreter()));
        master.onVmGone(proxy::forget);

        Vertx vertx = Vertx.vertx(new VertxOptions().setFileSystemOptions(new FileSystemOptions()
                .setFileCachingEnabled(false).setClassPathResolvingEnabled(false)));
        parts.push("Vert.x", () -> RequestBody.await(vertx.close()));
        Listeners proxyListeners = parts.push("proxy", Listeners.open(vertx,
                HttpServers.secure(SandboxProxy.serverOptions(), tls.certificate(), tls.key()), proxy.handler(vertx),
                config.proxy(), "proxy"));

        boolean requiresKeys = !config.api().isLoopback();
        Optional<Path> keyFile = requiresKeys
                ? Optional.of(AdministratorKey.ensure(home, master.apiKeys())) : Optional.empty();
        int port = config.advertisedPort().orElse(proxyListeners.port());
        String domain = config.domain() + (port == HTTPS_PORT ? "" : ":" + port);
        var settings = new ApiSettings(Version.TEXT, domain, Envd.VERSION, hypervisor.accelerator(), requiresKeys);
        var api = new RestApi(settings, master.sandboxes(), master.snapshots(), master.templates(), master.apiKeys(),
                master.metering(), master.logs(), meters,
                meters::scrape, killSandboxes -> requestStop(master.sandboxes(), killSandboxes));
        Listeners apiListeners = parts.push("API",
                Listeners.open(vertx, HttpServers.plain(), api.router(vertx), config.api(), "api"));

        String apiUrl = "http://%s:%d".formatted(config.api().urlHost(), apiListeners.port());
        String proxyUrl = "https://%s:%d".formatted(config.proxy().urlHost(), proxyListeners.port());
        serverFile.write(new ServerFile.Content(ProcessHandle.current().pid(), apiUrl, domain, proxyUrl,
                tls.authority().toString(), tls.bundle().toString(), requiresKeys,
                keyFile.map(Path::toString).orElse(null)));
        parts.push("server.json", serverFile::remove);
        LOG.info("ready: API at {}, sandboxes at https://<port>-<sandbox>.{}, on {}", apiUrl, domain,
                hypervisor.accelerator());
    }

    private void requestStop(Sandboxes sandboxes, boolean killSandboxes) {
        LOG.info("asked to stop; sandboxes {}", killSandboxes ? "are killed" : "run on");
        Thread.ofPlatform().name("stop").start(() -> {
            if (killSandboxes) {
                killAll(sandboxes);
            }
            stopRequested.countDown();
        });
    }

    private static void killAll(Sandboxes sandboxes) {
        Optional<String> next = Optional.empty();
        do {
            Sandboxes.Page page = sandboxes.list(RUNNING, PAGE, next);
            for (SandboxInfo sandbox : page.sandboxes()) {
                try {
                    sandboxes.kill(sandbox.id());
                } catch (MasterException e) {
                    LOG.warn("sandbox {} was not killed: {}", sandbox.id(), e.getMessage());
                }
            }
            next = page.nextToken();
        } while (next.isPresent());
    }

    /** Returns when the API was asked to stop the server. */
    void awaitStopRequest() throws InterruptedException {
        stopRequested.await();
    }

    /** Stops serving; sandboxes run on. */
    @Override
    public void close() {
        parts.close();
    }
}
