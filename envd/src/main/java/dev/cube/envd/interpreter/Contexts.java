package dev.cube.envd.interpreter;

import dev.cube.guest.GuestAgent;
import dev.cube.guest.GuestException;
import dev.cube.guest.GuestUser;
import dev.cube.guest.ProcessInfo;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.UUID;
import java.util.concurrent.locks.ReentrantLock;

/** The contexts of one sandbox. What exists is known by the guest's processes, so nothing is kept on the host. */
final class Contexts {
    /** E2B's user, which its images have. */
    private static final String USER = "user";
    private static final List<String> NODE = List.of("/usr/bin/node", "/usr/local/bin/node");

    private final GuestAgent agent;
    private final KernelFiles files;
    private final Map<String, Context> byId = Collections.synchronizedMap(new LinkedHashMap<>());
    /** Held while contexts are looked for or default ones made. */
    private final ReentrantLock changing = new ReentrantLock();
    private GuestUser user;

    Contexts(GuestAgent agent, KernelFiles files) {
        this.agent = agent;
        this.files = files;
    }

    GuestAgent agent() {
        return agent;
    }

    /** The context that serves requests which name only a language; started if it is not there. */
    Context standard(Language language) {
        changing.lock();
        try {
            discover();
            Optional<Context> existing = standardOf(language);
            return existing.isPresent() ? existing.get() : create(language, Optional.empty(), true);
        } finally {
            changing.unlock();
        }
    }

    /** Starts the default context of a fresh guest and warms it up; returns what it said about that. */
    String warmUp(Language language) {
        changing.lock();
        try {
            discover();
            Context context = place(language, Optional.empty(), true);
            byId.put(context.tag().id(), context);
            return context.warmUp();
        } finally {
            changing.unlock();
        }
    }

    /** Starts a new context; {@link KernelException} or {@link GuestException} if that fails. */
    Context create(Language language, Optional<String> cwd) {
        discovered();
        return create(language, cwd, false);
    }

    Optional<Context> find(String id) {
        discovered();
        return Optional.ofNullable(byId.get(id));
    }

    /**
     * All contexts, default ones first. As in E2B there is one for JavaScript from the beginning, though it starts when
     * it is used.
     */
    List<ContextInfo> list() {
        changing.lock();
        try {
            discover();
            if (standardOf(Language.JAVASCRIPT).isEmpty() && hasNode()) {
                Context javascript = place(Language.JAVASCRIPT, Optional.empty(), true);
                byId.put(javascript.tag().id(), javascript);
            }
        } finally {
            changing.unlock();
        }
        return all().stream().sorted(Comparator.comparing(context -> !context.tag().standard())).map(Context::info)
                .toList();
    }

    private boolean hasNode() {
        return NODE.stream().anyMatch(path -> {
            try {
                agent.stat(path);
                return true;
            } catch (GuestException e) {
                if (e.kind() == GuestException.Kind.DISCONNECTED) {
                    throw e;
                }
                return false;
            }
        });
    }

    private Optional<Context> standardOf(Language language) {
        return all().stream().filter(context -> context.tag().standard() && context.tag().language() == language)
                .findFirst();
    }

    void remove(Context context) {
        byId.remove(context.tag().id());
        context.remove();
    }

    /** Lets go of all kernels, which run on. */
    void release() {
        all().forEach(Context::release);
    }

    private Context create(Language language, Optional<String> cwd, boolean standard) {
        Context context = place(language, cwd, standard);
        context.start();
        byId.put(context.tag().id(), context);
        return context;
    }

    private Context place(Language language, Optional<String> cwd, boolean standard) {
        var tag = new ContextTag(UUID.randomUUID().toString(), language, standard, cwd.orElse(user.home()));
        return new Context(agent, files, tag, user.name(), OptionalInt.empty());
    }

    private void discovered() {
        changing.lock();
        try {
            discover();
        } finally {
            changing.unlock();
        }
    }

    private void discover() {
        if (user != null) {
            return;
        }
        GuestUser found = findUser();
        agent.processes().stream().sorted(Comparator.comparingInt(ProcessInfo::pid)).forEach(process ->
                process.tag().flatMap(ContextTag::parse).ifPresent(tag -> byId.putIfAbsent(tag.id(),
                        new Context(agent, files, tag, found.name(), OptionalInt.of(process.pid())))));
        user = found;
    }

    private GuestUser findUser() {
        try {
            return agent.user(USER);
        } catch (GuestException e) {
            if (e.kind() != GuestException.Kind.UNKNOWN_USER) {
                throw e;
            }
            return agent.user("root");
        }
    }

    private List<Context> all() {
        synchronized (byId) {
            return List.copyOf(byId.values());
        }
    }
}
