//! The table of `limactl list`: column widths, and which columns a narrow terminal shows. Pure.

use crate::config::Arch;
use crate::instance::Instance;

/// Blanks between columns, which is also the least width of one.
const GAP: usize = 4;
/// The unit in which columns are counted when it is decided what fits.
const UNIT: usize = 8;

/// The table. `width` is the terminal's; `None` shows every column. A directory that begins with `home` is shown with `~` instead.
pub fn table(instances: &[Instance], width: Option<u16>, host_arch: Arch, home: Option<&str>) -> String {
    let shown = Columns::that_fit(instances, width.map(usize::from), host_arch);
    let mut rows = vec![shown.row(
        ["NAME", "STATUS", "SSH", "VMTYPE", "ARCH", "CPUS", "MEMORY", "DISK", "DIR"].map(str::to_owned),
    )];
    rows.extend(instances.iter().map(|instance| shown.row(cells(instance, home))));
    align(&rows)
}

fn cells(instance: &Instance, home: Option<&str>) -> [String; 9] {
    let dir = instance.dir.display().to_string();
    let dir = match home.filter(|home| !home.is_empty()).and_then(|home| dir.strip_prefix(home)) {
        Some(rest) => format!("~{rest}"),
        None => dir,
    };
    [
        instance.name.clone(),
        instance.status.name().to_owned(),
        format!("{}:{}", instance.ssh_address, instance.ssh_local_port),
        instance.vm_type.clone().unwrap_or_default(),
        arch_of(instance).to_owned(),
        instance.cpus.to_string(),
        instance.memory.to_string(),
        instance.disk.to_string(),
        dir,
    ]
}

fn arch_of(instance: &Instance) -> &'static str {
    instance.arch.map_or("", Arch::name)
}

/// Which of the columns that can be hidden are shown.
struct Columns {
    vm_type: bool,
    arch: bool,
    dir: bool,
}

impl Columns {
    fn that_fit(instances: &[Instance], width: Option<usize>, host_arch: Arch) -> Columns {
        let Some(width) = width else {
            return Columns { vm_type: true, arch: true, dir: true };
        };
        let all_same = |text: fn(&Instance) -> &str| {
            instances.iter().all(|instance| text(instance) == instances.first().map_or("", text))
        };
        let same_type = all_same(|instance| instance.vm_type.as_deref().unwrap_or_default());
        let native =
            all_same(arch_of) && instances.first().is_none_or(|first| arch_of(first) == host_arch.name());
        // NAME takes one unit, STATUS and SSH two each.
        let mut units = 5;
        let vm_type = (units + 7) * UNIT <= width || !same_type;
        units += usize::from(vm_type);
        let arch = (units + 6) * UNIT <= width || !native;
        units += usize::from(arch) + 3;
        let dir = (units + 2) * UNIT <= width;
        Columns { vm_type, arch, dir }
    }

    fn row(&self, cells: [String; 9]) -> Vec<String> {
        let keep = [true, true, true, self.vm_type, self.arch, true, true, true, self.dir];
        cells.into_iter().zip(keep).filter_map(|(cell, keep)| keep.then_some(cell)).collect()
    }
}

/// A table: all cells but the last of each row are padded to the width of their column.
pub fn align(rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or(0) + GAP
    };
    let count = rows.first().map_or(0, Vec::len);
    let widths: Vec<usize> = (0..count).map(width).collect();
    let mut text = String::new();
    for row in rows {
        for (index, cell) in row.iter().enumerate() {
            if index + 1 == count {
                text.push_str(cell);
            } else {
                text.push_str(&format!("{cell:<width$}", width = widths[index]));
            }
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Bytes;
    use crate::instance::Status;

    fn instance(name: &str, arch: Arch) -> Instance {
        Instance {
            name: name.into(),
            hostname: format!("lima-{name}"),
            status: Status::Stopped,
            dir: format!("/home/u/.lima/{name}").into(),
            vm_type: Some("qemu".into()),
            arch: Some(arch),
            cpus: 1,
            memory: Bytes::mib(512),
            disk: Bytes::mib(10),
            message: String::new(),
            ssh_local_port: 0,
            ssh_config_file: "".into(),
            host_agent_pid: 0,
            driver_pid: 0,
            problems: Vec::new(),
            config: None,
            ssh_address: "127.0.0.1".into(),
            protected: false,
            lima_version: String::new(),
            foreign: false,
        }
    }

    fn header(width: u16, arch: Arch) -> String {
        let table = table(&[instance("a", arch)], Some(width), Arch::X86_64, None);
        let first = table.lines().next().unwrap().to_owned();
        first.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_table_is_aligned_and_shortens_the_home() {
        let mut broken = instance("noyaml", Arch::X86_64);
        broken.status = Status::Broken;
        broken.vm_type = None;
        broken.arch = None;
        broken.ssh_address = String::new();
        (broken.cpus, broken.memory, broken.disk) = (0, Bytes(0), Bytes(0));
        let mut running = instance("d", Arch::X86_64);
        running.status = Status::Running;
        running.ssh_local_port = 35205;
        let text = table(&[running, broken], None, Arch::X86_64, Some("/home/u"));
        assert_eq!(
            text,
            "NAME      STATUS     SSH                VMTYPE    ARCH      CPUS    MEMORY    DISK     DIR\n\
             d         Running    127.0.0.1:35205    qemu      x86_64    1       512MiB    10MiB    ~/.lima/d\n\
             noyaml    Broken     :0                                     0       0B        0B       ~/.lima/noyaml\n"
        );
    }

    #[test]
    fn narrow_terminals_hide_what_says_least() {
        let short = "NAME STATUS SSH CPUS MEMORY DISK";
        for (width, columns) in [
            (40, short.to_owned()),
            (79, short.to_owned()),
            (80, format!("{short} DIR")),
            (87, format!("{short} DIR")),
            (88, "NAME STATUS SSH ARCH CPUS MEMORY DISK DIR".to_owned()),
            (95, "NAME STATUS SSH ARCH CPUS MEMORY DISK DIR".to_owned()),
            (96, "NAME STATUS SSH VMTYPE ARCH CPUS MEMORY DISK DIR".to_owned()),
        ] {
            assert_eq!(header(width, Arch::X86_64), columns, "{width}");
        }
        assert_eq!(header(80, Arch::Aarch64), "NAME STATUS SSH ARCH CPUS MEMORY DISK");
    }

    #[test]
    fn without_instances_only_the_header_is_left() {
        assert_eq!(
            table(&[], None, Arch::X86_64, None),
            "NAME    STATUS    SSH    VMTYPE    ARCH    CPUS    MEMORY    DISK    DIR\n"
        );
    }
}
