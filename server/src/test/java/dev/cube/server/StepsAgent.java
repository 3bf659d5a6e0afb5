package dev.cube.server;

import java.io.IOException;
import java.lang.classfile.ClassFile;
import java.lang.classfile.ClassHierarchyResolver;
import java.lang.classfile.CodeBuilder;
import java.lang.classfile.CodeElement;
import java.lang.classfile.CodeModel;
import java.lang.classfile.CodeTransform;
import java.lang.classfile.MethodModel;
import java.lang.constant.ClassDesc;
import java.lang.constant.ConstantDescs;
import java.lang.constant.MethodTypeDesc;
import java.lang.instrument.ClassFileTransformer;
import java.lang.instrument.Instrumentation;
import java.lang.reflect.AccessFlag;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.ProtectionDomain;
import java.util.Map;
import java.util.Set;
import java.util.jar.Attributes;
import java.util.jar.JarOutputStream;
import java.util.jar.Manifest;

/**
 * A Java agent that has a server tell {@link Steps} of each step that it takes: of each call of a method that changes what is
 * outside of it, such as a QEMU, a file, or the database. So faults can be had at every step, and the server needs to know
 * nothing of that.
 */
public final class StepsAgent {
    private static final Map<String, Set<String>> STEPS = Map.ofEntries(
            Map.entry("dev/cube/hypervisor/QmpClient", Set.of("send")),
            Map.entry("dev/cube/hypervisor/MemoryControl", Set.of("map", "mapAndOpen", "fork", "adopt", "save")),
            Map.entry("dev/cube/hypervisor/JsonFiles", Set.of("write")),
            Map.entry("dev/cube/hypervisor/Qcow2Overlay", Set.of("create")),
            Map.entry("dev/cube/hypervisor/VmDirectories", Set.of("create")),
            Map.entry("dev/cube/hypervisor/VmDirectory", Set.of("deleteTree")),
            Map.entry("dev/cube/hypervisor/ImageStore", Set.of("write", "sync", "move", "link", "linkFiles")),
            Map.entry("dev/cube/hypervisor/MemoryWriter", Set.of("write")),
            Map.entry("dev/cube/hypervisor/DeviceState", Set.of("save", "load")),
            Map.entry("dev/cube/hypervisor/QemuProcess", Set.of("start", "kill")),
            Map.entry("dev/cube/guest/AgentConnection", Set.of("open")),
            Map.entry("dev/cube/master/Database", Set.of("write", "writeDurably")));

    private StepsAgent() {}

    /** @param arguments the directory that {@link Steps} is told by what to do */
    public static void premain(String arguments, Instrumentation instrumentation) {
        Steps.open(Path.of(arguments));
        instrumentation.addTransformer(new Transformer());
    }

    /** The option of a Java machine that runs with this agent. Its file is made in {@code directory}. */
    static String option(Path directory) throws IOException {
        var manifest = new Manifest();
        manifest.getMainAttributes().put(Attributes.Name.MANIFEST_VERSION, "1.0");
        manifest.getMainAttributes().putValue("Premain-Class", StepsAgent.class.getName());
        Path jar = directory.resolve("agent.jar");
        new JarOutputStream(Files.newOutputStream(jar), manifest).close();
        return "-javaagent:" + jar + "=" + directory;
    }

    private static final class Transformer implements ClassFileTransformer {
        @Override
        public byte[] transform(ClassLoader loader, String name, Class<?> redefined, ProtectionDomain domain,
                byte[] bytes) {
            Set<String> steps = STEPS.get(name);
            if (steps == null) {
                return null;
            }
            ClassFile file = ClassFile.of(ClassFile.ClassHierarchyResolverOption.of(
                    ClassHierarchyResolver.ofResourceParsing(loader)));
            return file.transformClass(file.parse(bytes), (builder, element) -> {
                if (element instanceof MethodModel method && steps.contains(method.methodName().stringValue())) {
                    builder.transformMethod(method, (body, part) -> {
                        if (part instanceof CodeModel code) {
                            body.transformCode(code, new Entry(name.substring(name.lastIndexOf('/') + 1), method));
                        } else {
                            body.with(part);
                        }
                    });
                } else {
                    builder.with(element);
                }
            });
        }
    }

    /** Tells of a method's begin, with its first argument if that is an object. */
    private record Entry(String type, MethodModel method) implements CodeTransform {
        @Override
        public void atStart(CodeBuilder builder) {
            builder.loadConstant(type + "." + method.methodName().stringValue());
            MethodTypeDesc signature = method.methodTypeSymbol();
            if (signature.parameterCount() > 0 && !signature.parameterType(0).isPrimitive()) {
                builder.aload(method.flags().has(AccessFlag.STATIC) ? 0 : 1);
            } else {
                builder.aconst_null();
            }
            builder.invokestatic(ClassDesc.of(Steps.class.getName()), "reached",
                    MethodTypeDesc.of(ConstantDescs.CD_void, ConstantDescs.CD_String, ConstantDescs.CD_Object));
        }

        @Override
        public void accept(CodeBuilder builder, CodeElement element) {
            builder.with(element);
        }
    }
}
