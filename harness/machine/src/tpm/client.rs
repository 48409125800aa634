//! The harness's own TPM commands, sent with tss-esapi through the tap's port: readings of PCR 10, and quotes.
//!
//! libtss2 prints what goes wrong on standard error unless `TSS2_LOG=all+NONE` is set where the process starts.

use std::fs::File;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr};

use tss_esapi::attributes::ObjectAttributesBuilder;
use tss_esapi::constants::{CapabilityType, Tss2ResponseCodeKind};
use tss_esapi::interface_types::algorithm::{HashingAlgorithm, PublicAlgorithm};
use tss_esapi::interface_types::ecc::EccCurve;
use tss_esapi::interface_types::resource_handles::Hierarchy;
use tss_esapi::interface_types::session_handles::AuthSession;
use tss_esapi::structures::{
    CapabilityData, Data, EccPoint, EccScheme, HashScheme, KeyDerivationFunctionScheme, PcrSelectionList,
    PcrSlot, Public, PublicBuilder, PublicEccParametersBuilder, SignatureScheme,
};
use tss_esapi::tcti_ldr::{NetworkTPMConfig, TctiNameConf};
use tss_esapi::traits::Marshall;
use tss_esapi::tss2_esys::{TPML_PCR_SELECTION, TPMS_PCR_SELECTION};
use tss_esapi::{Context, Error, WrapperErrorKind};

use imalab_formats::ima::Bank;
use imalab_trace::{PcrReading, PcrValue, QuoteTaken};

/// The PCR that IMA extends (`CONFIG_IMA_MEASURE_PCR_IDX`).
const PCR: PcrSlot = PcrSlot::Slot10;

/// Bytes of a quote's nonce.
const NONCE: usize = 32;

/// Why there is no reading, or no quote.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody has started the TPM yet: no firmware, no kernel.
    #[error("the TPM is not started yet ({during})")]
    NotStarted {
        /// What was to be done.
        during: &'static str,
    },
    /// The TPM, or libtss2, refused.
    #[error("{during}: {source}")]
    Tpm {
        /// What was to be done.
        during: &'static str,
        /// The refusal.
        source: Error,
    },
    /// A bank is active that imalab cannot replay.
    #[error("the TPM has an active bank that imalab does not know: {0:?}")]
    UnknownBank(HashingAlgorithm),
    /// No bank has a PCR 10.
    #[error("no active bank of the TPM has PCR 10")]
    NoBank,
    /// The TPM gave values of other banks than those asked for.
    #[error("PCR 10 of {asked:?} was asked for, the TPM gave {given:?}")]
    OtherBanks {
        /// Banks asked for.
        asked: Vec<Bank>,
        /// Banks whose values came.
        given: Vec<Bank>,
    },
    /// The operating system gave no nonce.
    #[error("no random bytes from /dev/urandom: {0}")]
    Nonce(io::Error),
}

/// A user of the TPM behind a tap's port. It connects at its first command and stays connected.
#[derive(Debug)]
pub struct Client {
    port: u16,
    connection: Option<Connection>,
}

#[derive(Debug)]
struct Connection {
    context: Context,
    /// Active banks that have PCR 10.
    banks: Vec<Bank>,
    selection: PcrSelectionList,
}

impl Client {
    /// A client for the tap whose port is `port`, on the loopback address.
    pub fn new(port: u16) -> Self {
        Client { port, connection: None }
    }

    /// Reads PCR 10 of every active bank in one command, for mark `mark`.
    pub fn read(&mut self, mark: u64) -> Result<PcrReading, ClientError> {
        self.connected(|connection| {
            let (update_counter, values) = connection.read()?;
            Ok(PcrReading { mark, update_counter, values })
        })
    }

    /// Quotes PCR 10 of every active bank for mark `mark`: a restricted ECDSA key on NIST P-256, made for this
    /// quote from the endorsement hierarchy's seed (so it is the same each time), and a fresh nonce.
    pub fn quote(&mut self, mark: u64) -> Result<QuoteTaken, ClientError> {
        let nonce = nonce().map_err(ClientError::Nonce)?;
        self.connected(|connection| connection.quote(mark, nonce))
    }

    /// Runs `work` on the connection, which is opened anew after a failure.
    fn connected<T>(
        &mut self,
        work: impl FnOnce(&mut Connection) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(self.port)?,
        };
        let done = work(&mut connection)?;
        self.connection = Some(connection);
        Ok(done)
    }
}

impl Connection {
    fn open(port: u16) -> Result<Connection, ClientError> {
        let during = "connecting to the TPM";
        let address: NetworkTPMConfig = format!("host={},port={port}", IpAddr::V4(Ipv4Addr::LOCALHOST))
            .parse()
            .map_err(failed(during))?;
        let mut context = Context::new(TctiNameConf::Swtpm(address)).map_err(failed(during))?;
        let banks = active_banks(&mut context)?;
        if banks.is_empty() {
            return Err(ClientError::NoBank);
        }
        let selection = selection(&banks).map_err(failed("selecting PCR 10"))?;
        Ok(Connection { context, banks, selection })
    }

    fn read(&mut self) -> Result<(u32, Vec<PcrValue>), ClientError> {
        let during = "TPM2_PCR_Read";
        let (update_counter, given, digests) =
            self.context.pcr_read(self.selection.clone()).map_err(failed(during))?;
        let given = with_pcr(&given)?;
        if given != self.banks || digests.len() != given.len() {
            return Err(ClientError::OtherBanks { asked: self.banks.clone(), given });
        }
        let value = |(bank, digest): (_, &[u8])| PcrValue { bank, digest: digest.to_vec() };
        let digests = digests.value().iter().map(|digest| digest.value());
        Ok((update_counter, given.into_iter().zip(digests).map(value).collect()))
    }

    fn quote(&mut self, mark: u64, nonce: Vec<u8>) -> Result<QuoteTaken, ClientError> {
        let (_, values) = self.read()?;
        let template = attestation_key().map_err(failed("making a key template"))?;
        let made = self.context.execute_with_session(Some(AuthSession::Password), |context| {
            context.create_primary(Hierarchy::Endorsement, template, None, None, None, None)
        });
        let made = made.map_err(failed("TPM2_CreatePrimary"))?;
        let (key, selection) = (made.key_handle, self.selection.clone());
        let quoted = self.context.execute_with_session(Some(AuthSession::Password), |context| {
            context.quote(key, Data::try_from(nonce.clone())?, SignatureScheme::Null, selection)
        });
        // Made even when there is no quote: the TPM may hold three transient objects, and the guest wants some.
        let flushed = self.context.flush_context(key.into());
        let (attest, signature) = quoted.map_err(failed("TPM2_Quote"))?;
        flushed.map_err(failed("TPM2_FlushContext"))?;
        let marshall = || {
            let (attest, signature) = (attest.marshall()?, signature.marshall()?);
            Ok(QuoteTaken { mark, nonce, key: made.out_public.marshall()?, attest, signature, values })
        };
        marshall().map_err(failed("marshalling a quote"))
    }
}

/// Makes an error of tss-esapi ours.
fn failed(during: &'static str) -> impl Fn(Error) -> ClientError {
    move |source| match source {
        // TPM_RC_INITIALIZE also answers a second TPM2_Startup, which is never ours.
        Error::Tss2Error(code) if code.kind() == Some(Tss2ResponseCodeKind::Initialize) => {
            ClientError::NotStarted { during }
        }
        source => ClientError::Tpm { during, source },
    }
}

fn active_banks(context: &mut Context) -> Result<Vec<Bank>, ClientError> {
    let during = "TPM2_GetCapability";
    match context.get_capability(CapabilityType::AssignedPcr, 0, 1).map_err(failed(during))? {
        (CapabilityData::AssignedPcr(selections), _) => with_pcr(&selections),
        _ => {
            Err(ClientError::Tpm { during, source: Error::WrapperError(WrapperErrorKind::WrongValueFromTpm) })
        }
    }
}

/// The banks in which PCR 10 is selected, in their order.
fn with_pcr(selections: &PcrSelectionList) -> Result<Vec<Bank>, ClientError> {
    let selected = selections.get_selections().iter().filter(|selection| selection.is_selected(PCR));
    selected.map(|selection| bank(selection.hashing_algorithm())).collect()
}

fn bank(algorithm: HashingAlgorithm) -> Result<Bank, ClientError> {
    Ok(match algorithm {
        HashingAlgorithm::Sha1 => Bank::Sha1,
        HashingAlgorithm::Sha256 => Bank::Sha256,
        HashingAlgorithm::Sha384 => Bank::Sha384,
        HashingAlgorithm::Sha512 => Bank::Sha512,
        other => return Err(ClientError::UnknownBank(other)),
    })
}

/// PCR 10 of `banks`, in their order: tss-esapi's builder would shuffle them.
fn selection(banks: &[Bank]) -> Result<PcrSelectionList, Error> {
    let mut list = TPML_PCR_SELECTION { count: banks.len() as u32, ..Default::default() };
    for (place, bank) in list.pcrSelections.iter_mut().zip(banks) {
        *place = TPMS_PCR_SELECTION { hash: bank.tpm_alg(), sizeofSelect: 3, pcrSelect: [0, 1 << 2, 0, 0] };
    }
    list.try_into()
}

/// The template of an attestation key (TPM 2.0 Library Part 1, 27.2): it signs nothing but what the TPM itself
/// made, and cannot leave it.
fn attestation_key() -> Result<Public, Error> {
    let attributes = ObjectAttributesBuilder::new()
        .with_fixed_tpm(true)
        .with_fixed_parent(true)
        .with_sensitive_data_origin(true)
        .with_user_with_auth(true)
        .with_restricted(true)
        .with_sign_encrypt(true)
        .build()?;
    let parameters = PublicEccParametersBuilder::new()
        .with_ecc_scheme(EccScheme::EcDsa(HashScheme::new(HashingAlgorithm::Sha256)))
        .with_curve(EccCurve::NistP256)
        .with_key_derivation_function_scheme(KeyDerivationFunctionScheme::Null)
        .with_is_signing_key(true)
        .with_restricted(true)
        .build()?;
    PublicBuilder::new()
        .with_public_algorithm(PublicAlgorithm::Ecc)
        .with_name_hashing_algorithm(HashingAlgorithm::Sha256)
        .with_object_attributes(attributes)
        .with_ecc_parameters(parameters)
        .with_ecc_unique_identifier(EccPoint::default())
        .build()
}

fn nonce() -> io::Result<Vec<u8>> {
    let mut nonce = vec![0; NONCE];
    File::open("/dev/urandom")?.read_exact(&mut nonce)?;
    Ok(nonce)
}
