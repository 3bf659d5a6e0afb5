package dev.cube.envd.process;

import dev.cube.envd.PortService;
import dev.cube.envd.ProcessLog;
import dev.cube.envd.SandboxTarget;
import dev.cube.envd.connect.Call;
import dev.cube.envd.connect.Code;
import dev.cube.envd.connect.ConnectException;
import dev.cube.envd.connect.MessageSink;
import dev.cube.envd.connect.MessageSource;
import dev.cube.envd.connect.Procedure;
import dev.cube.envd.rpc.process.CloseStdinRequest;
import dev.cube.envd.rpc.process.CloseStdinResponse;
import dev.cube.envd.rpc.process.ConnectRequest;
import dev.cube.envd.rpc.process.ConnectResponse;
import dev.cube.envd.rpc.process.ListRequest;
import dev.cube.envd.rpc.process.ListResponse;
import dev.cube.envd.rpc.process.ProcessConfig;
import dev.cube.envd.rpc.process.ProcessEvent;
import dev.cube.envd.rpc.process.ProcessInfo;
import dev.cube.envd.rpc.process.ProcessInput;
import dev.cube.envd.rpc.process.SendInputRequest;
import dev.cube.envd.rpc.process.SendInputResponse;
import dev.cube.envd.rpc.process.SendSignalRequest;
import dev.cube.envd.rpc.process.SendSignalResponse;
import dev.cube.envd.rpc.process.StartRequest;
import dev.cube.envd.rpc.process.StartResponse;
import dev.cube.envd.rpc.process.StreamInputRequest;
import dev.cube.envd.rpc.process.StreamInputResponse;
import dev.cube.envd.rpc.process.UpdateRequest;
import dev.cube.envd.rpc.process.UpdateResponse;
import dev.cube.envd.user.Users;
import dev.cube.guest.GuestException;
import dev.cube.guest.ProcessSpec;
import java.io.IOException;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;

/** envd's {@code process.Process} service, over the agents of all sandboxes. Thread-safe. */
public final class ProcessService {
    private static final int SIGKILL = 9;
    private static final int SIGTERM = 15;
    /** A terminal's size is two 16-bit numbers to the kernel. */
    private static final int PTY_SIZE_LIMIT = 0xffff;

    /** The guest ends a process whose client left after its time was up; a client that is there is told first. */
    private static final Duration GUESTS_PATIENCE = Duration.ofSeconds(1);

    private final ConcurrentHashMap<String, SandboxProcesses> sandboxes = new ConcurrentHashMap<>();
    private final ProcessLog log;

    /** @param log is told of what clients start */
    public ProcessService(ProcessLog log) {
        this.log = log;
    }

    /** The procedures by their paths. */
    public Map<String, Procedure> procedures() {
        return Map.of(
                "/process.Process/List", new Procedure.Unary<>(ListRequest.getDefaultInstance(), this::list),
                "/process.Process/Start",
                new Procedure.ServerStream<>(StartRequest.getDefaultInstance(), this::start),
                "/process.Process/Connect",
                new Procedure.ServerStream<>(ConnectRequest.getDefaultInstance(), this::connect),
                "/process.Process/Update", new Procedure.Unary<>(UpdateRequest.getDefaultInstance(), this::update),
                "/process.Process/SendInput",
                new Procedure.Unary<>(SendInputRequest.getDefaultInstance(), this::sendInput),
                "/process.Process/StreamInput",
                new Procedure.ClientStream<>(StreamInputRequest.getDefaultInstance(), this::streamInput),
                "/process.Process/SendSignal",
                new Procedure.Unary<>(SendSignalRequest.getDefaultInstance(), this::sendSignal),
                "/process.Process/CloseStdin",
                new Procedure.Unary<>(CloseStdinRequest.getDefaultInstance(), this::closeStdin));
    }

    public void forget(String sandboxId) {
        sandboxes.remove(sandboxId);
    }

    /** A sandbox that was restored has another agent, and none of the processes known before. */
    private SandboxProcesses of(SandboxTarget target) {
        return sandboxes.compute(target.sandboxId(), (id, known) ->
                known != null && known.agent() == target.agent() ? known : new SandboxProcesses(target.sandboxId(), target.agent(), log));
    }

    private ListResponse list(Call call, ListRequest request) {
        var response = ListResponse.newBuilder();
        for (dev.cube.guest.ProcessInfo process : of(call.target()).list()) {
            var config = ProcessConfig.newBuilder().setCmd(process.command()).addAllArgs(process.args())
                    .putAllEnvs(process.environment());
            process.cwd().ifPresent(config::setCwd);
            var info = ProcessInfo.newBuilder().setPid(process.pid()).setConfig(config);
            process.tag().ifPresent(info::setTag);
            response.addProcesses(info);
        }
        return response.build();
    }

    private void start(Call call, StartRequest request, MessageSink<StartResponse> answers)
            throws IOException, InterruptedException {
        SandboxProcesses.Started started = launch(call, spec(call, request));
        HeldProcess process = started.process();
        answers.onClosed(started.subscription()::close);
        EventStream.Sink sink = event -> answers.send(StartResponse.newBuilder().setEvent(event).build());
        try {
            new EventStream(call, sink).relay(process.pid(), started.subscription());
        } catch (ConnectException e) {
            // The client's timeout is the process's too.
            if (e.code() == Code.DEADLINE_EXCEEDED) {
                killQuietly(process);
            }
            throw e;
        } finally {
            process.unsubscribe(started.subscription());
        }
    }

    private SandboxProcesses.Started launch(Call call, ProcessSpec spec) {
        try {
            return of(call.target()).start(spec);
        } catch (GuestException e) {
            throw switch (e.kind()) {
                case NOT_FOUND, NOT_A_DIRECTORY -> new ConnectException(Code.INVALID_ARGUMENT, missing(call, spec, e));
                default -> Users.translate(e, call);
            };
        }
    }

    /** Which of the two that a process needs is not there: its directory, or its program. */
    private static String missing(Call call, ProcessSpec spec, GuestException failure) {
        if (spec.cwd().isPresent()) {
            try {
                call.target().agent().stat(spec.cwd().get());
            } catch (GuestException e) {
                return "cwd '" + spec.cwd().get() + "' does not exist";
            }
        }
        return "error starting process '" + spec.command() + "': " + failure.getMessage();
    }

    private static void killQuietly(HeldProcess process) {
        try {
            process.guest().signal(SIGKILL);
        } catch (GuestException e) {
            // It ended by itself in this moment, or its sandbox did.
        }
    }

    private static ProcessSpec spec(Call call, StartRequest request) {
        ProcessConfig config = request.getProcess();
        Optional<String> tag = request.hasTag() ? Optional.of(request.getTag()) : Optional.empty();
        if (tag.isPresent() && tag.get().startsWith(PortService.OWN_TAG_PREFIX)) {
            throw new ConnectException(Code.INVALID_ARGUMENT,
                    "tags that begin with '" + PortService.OWN_TAG_PREFIX + "' are reserved");
        }
        checkText("command", config.getCmd());
        config.getArgsList().forEach(arg -> checkText("argument", arg));
        config.getEnvsMap().forEach((name, value) -> {
            checkText("environment variable", name + value);
            if (name.isEmpty() || name.indexOf('=') >= 0) {
                throw new ConnectException(Code.INVALID_ARGUMENT, "invalid name of an environment variable: '" + name
                        + "'");
            }
        });
        Optional<String> cwd = config.getCwd().isEmpty()
                ? Optional.empty() : Optional.of(Users.resolve(call, config.getCwd()));
        return new ProcessSpec(config.getCmd(), config.getArgsList(), config.getEnvsMap(), cwd, Users.name(call), tag,
                request.hasPty() ? Optional.of(size(request.getPty())) : Optional.empty(),
                !request.hasStdin() || request.getStdin(), call.timeout().map(GUESTS_PATIENCE::plus));
    }

    private static void checkText(String what, String text) {
        if (text.indexOf('\0') >= 0) {
            throw new ConnectException(Code.INVALID_ARGUMENT, "the " + what + " has a NUL in it");
        }
    }

    private static ProcessSpec.PtySize size(dev.cube.envd.rpc.process.PTY pty) {
        int cols = pty.getSize().getCols();
        int rows = pty.getSize().getRows();
        if (cols < 0 || cols > PTY_SIZE_LIMIT || rows < 0 || rows > PTY_SIZE_LIMIT) {
            throw new ConnectException(Code.INVALID_ARGUMENT, "a terminal's columns and rows are at most "
                    + PTY_SIZE_LIMIT);
        }
        return new ProcessSpec.PtySize(cols, rows);
    }

    private void connect(Call call, ConnectRequest request, MessageSink<ConnectResponse> answers)
            throws IOException, InterruptedException {
        HeldProcess process = of(call.target()).runningOrEnded(request.getProcess());
        Subscription subscription = process.subscribe();
        answers.onClosed(subscription::close);
        EventStream.Sink sink = event -> answers.send(ConnectResponse.newBuilder().setEvent(event).build());
        try {
            new EventStream(call, sink).relay(process.pid(), subscription);
        } finally {
            process.unsubscribe(subscription);
        }
    }

    private UpdateResponse update(Call call, UpdateRequest request) {
        HeldProcess process = of(call.target()).running(request.getProcess());
        if (request.hasPty()) {
            if (!process.pty()) {
                throw new ConnectException(Code.INTERNAL, "error resizing tty: tty not assigned to process");
            }
            process.guest().resize(size(request.getPty()));
        }
        return UpdateResponse.getDefaultInstance();
    }

    private SendInputResponse sendInput(Call call, SendInputRequest request) {
        write(of(call.target()).running(request.getProcess()), request.getInput());
        return SendInputResponse.getDefaultInstance();
    }

    private StreamInputResponse streamInput(Call call, MessageSource<StreamInputRequest> requests) throws IOException {
        HeldProcess process = null;
        for (Optional<StreamInputRequest> next = requests.next(); next.isPresent(); next = requests.next()) {
            StreamInputRequest request = next.get();
            switch (request.getEventCase()) {
                case START -> process = of(call.target()).running(request.getStart().getProcess());
                case DATA -> {
                    if (process == null) {
                        throw new ConnectException(Code.INVALID_ARGUMENT, "the first event must be the start event");
                    }
                    write(process, request.getData().getInput());
                }
                case KEEPALIVE -> { }
                case EVENT_NOT_SET -> throw new ConnectException(Code.UNIMPLEMENTED, "invalid event type");
            }
        }
        return StreamInputResponse.getDefaultInstance();
    }

    private static void write(HeldProcess process, ProcessInput input) {
        boolean toPty = switch (input.getInputCase()) {
            case PTY -> true;
            case STDIN -> false;
            case INPUT_NOT_SET -> throw new ConnectException(Code.UNIMPLEMENTED, "invalid input type");
        };
        if (toPty && !process.pty()) {
            throw new ConnectException(Code.INTERNAL, "error writing to tty: tty not assigned to process"
                    + " — input should be written to the stdin, not the tty");
        }
        if (!toPty && process.pty()) {
            throw new ConnectException(Code.INTERNAL, "error writing to stdin: tty assigned to process"
                    + " — input should be written to the pty, not the stdin");
        }
        if (!toPty && !process.takesStdin()) {
            throw new ConnectException(Code.INTERNAL, "error writing to stdin: stdin not enabled or closed");
        }
        byte[] data = (toPty ? input.getPty() : input.getStdin()).toByteArray();
        try {
            process.guest().write(data, 0, data.length);
        } catch (GuestException e) {
            if (e.kind() == GuestException.Kind.DISCONNECTED) {
                throw e;
            }
            throw new ConnectException(Code.INTERNAL,
                    "error writing to " + (toPty ? "tty" : "stdin") + ": " + e.getMessage());
        }
    }

    private SendSignalResponse sendSignal(Call call, SendSignalRequest request) {
        int number = switch (request.getSignal()) {
            case SIGNAL_SIGKILL -> SIGKILL;
            case SIGNAL_SIGTERM -> SIGTERM;
            case SIGNAL_UNSPECIFIED, UNRECOGNIZED -> throw new ConnectException(Code.UNIMPLEMENTED,
                    "invalid signal: " + request.getSignal());
        };
        of(call.target()).signal(request.getProcess(), number);
        return SendSignalResponse.getDefaultInstance();
    }

    private CloseStdinResponse closeStdin(Call call, CloseStdinRequest request) {
        HeldProcess process = of(call.target()).running(request.getProcess());
        if (process.pty()) {
            throw new ConnectException(Code.UNKNOWN, "error closing stdin: cannot close stdin for PTY process"
                    + " — send Ctrl+D (0x04) instead");
        }
        process.closeStdin();
        return CloseStdinResponse.getDefaultInstance();
    }
}
