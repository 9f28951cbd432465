//! A node's pinned maps, read from beside the daemon.

use std::net::{IpAddr, SocketAddrV4};
use std::path::Path;

use abi::{FrontendKey, FrontendValue, LAYOUT_VERSION, Port, Protocol, ServiceEntry, ServiceId};
use anyhow::{Context, Result, anyhow};
use aya::maps::{Array, HashMap, Map, MapData, MapError};
use zerocopy::{FromBytes, IntoBytes};

use crate::node::Node;

type Services = Array<MapData, [u8; size_of::<ServiceEntry>()]>;
type Frontends = HashMap<MapData, [u8; size_of::<FrontendKey>()], [u8; size_of::<FrontendValue>()]>;

/// The sets of backends of one Service port.
pub(super) struct Sets {
    services: Services,
    id: ServiceId,
}

impl Sets {
    /// Finds the Service port that a TCP client of `vip` reaches; none if there is none yet.
    pub(super) fn open(node: &Node, vip: SocketAddrV4) -> Result<Option<Self>> {
        let pins = node.bpf_root().join("ferrule").join(LAYOUT_VERSION.to_string());
        let frontends = Frontends::try_from(Map::HashMap(open(&pins, "FRONTENDS")?))?;
        let addr = IpAddr::V4(*vip.ip()).into();
        let key = FrontendKey::new(addr, Port::new(vip.port()), Protocol::TCP);
        let key = key.as_bytes().try_into().context("a key of the map's size")?;
        let value = match frontends.get(&key, 0) {
            Err(MapError::KeyNotFound) => return Ok(None),
            value => value.context("reading FRONTENDS")?,
        };
        let value =
            FrontendValue::read_from_bytes(&value).map_err(|_| anyhow!("a frontend of another size"))?;
        let services = Services::try_from(Map::Array(open(&pins, "SERVICES")?))?;
        Ok(Some(Self { services, id: value.service() }))
    }

    /// Number of backends that a new connection may reach.
    pub(super) fn count(&self) -> Result<u32> {
        let bytes = self.services.get(&self.id.0, 0).context("reading SERVICES")?;
        let entry =
            ServiceEntry::read_from_bytes(&bytes).map_err(|_| anyhow!("a Service of another size"))?;
        Ok(entry.cluster.count())
    }
}

fn open(pins: &Path, name: &str) -> Result<MapData> {
    MapData::from_pin(pins.join(name)).with_context(|| format!("opening the pinned map {name}"))
}
