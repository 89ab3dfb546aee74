// An independent execution of the chain's blocks: @ethereumjs/vm, with what this chain has of its own written here a second time
// (the base fee goes to the fee vault, deposits, the sweep). Reads one JSON object a line, answers one a line:
//
//   {genesis: {chainId, vault, alloc}}                       -> {stateRoot}
//   {block: {number, timestamp, ...}, transactions: [...]}   -> {stateRoot, receiptsRoot, transactionsRoot, logsBloom, gasUsed, verdicts, swept}
//
// A transaction is {raw} or {deposit}. Verdicts tell which of them the block may hold: decided here, not told by the caller.
// Run as: node ethereumjs.mjs <directory with node_modules>
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'
import { join } from 'node:path'

const require = createRequire(join(process.argv[2], 'witness.js'))
const { createVM, runTx, encodeReceipt } = require('@ethereumjs/vm')
const { createEVM } = require('@ethereumjs/evm')
const { createBlock } = require('@ethereumjs/block')
const { createCustomCommon, Hardfork, Mainnet } = require('@ethereumjs/common')
const { createTx, createTxFromRLP } = require('@ethereumjs/tx')
const { MerkleStateManager, Caches } = require('@ethereumjs/statemanager')
const { MerklePatriciaTrie } = require('@ethereumjs/mpt')
const { RLP } = require('@ethereumjs/rlp')
const util = require('@ethereumjs/util')
const { Account, bigIntToBytes, bytesToHex, concatBytes, createAddressFromString, hexToBytes, setLengthLeft } = util

const HISTORY = createAddressFromString('0x0000f90827f1c53a10cb7a02335b175320002935')
const word = (number) => setLengthLeft(bigIntToBytes(BigInt(number)), 32)

class Chain {
  static async open({ chainId, vault, alloc }) {
    const chain = new Chain()
    const custom = (hardfork) => {
      const common = createCustomCommon({ chainId: Number(chainId) }, Mainnet, { hardfork })
      // Point evaluation: only inputs that are refused before a proof would be looked at are drawn.
      const kzg = { verifyProof: () => { throw new Error('no witness for valid points') } }
      common.customCrypto = { ...common.customCrypto, kzg }
      return common
    }
    chain.common = custom(Hardfork.Osaka)
    // The cap of EIP-7825 binds signed transactions only: deposits are made by the rules of the fork before it.
    chain.uncapped = custom(Hardfork.Prague)
    chain.vault = createAddressFromString(vault)
    chain.hashes = new Map()
    const stateManager = new MerkleStateManager({ common: chain.common, caches: new Caches() })
    const blockchain = {
      getBlock: async (number) => ({ hash: () => chain.hashes.get(Number(number)) ?? new Uint8Array(32) }),
      shallowCopy: () => blockchain,
    }
    const evm = await createEVM({ common: chain.common, stateManager, blockchain })
    // A deposit has no price, though the gas it is run with does: see deposit().
    const runCall = evm.runCall.bind(evm)
    evm.runCall = (options) => runCall(chain.priceless ? { ...options, gasPrice: 0n } : options)
    chain.vm = await createVM({ common: chain.common, stateManager, evm, blockchain })
    chain.state = stateManager
    for (const [address, { balance, nonce, code, storage }] of Object.entries(alloc)) {
      const at = createAddressFromString(address)
      await chain.state.putAccount(at, new Account(BigInt(nonce), BigInt(balance)))
      if (code !== '0x') await chain.state.putCode(at, hexToBytes(code))
      for (const [slot, value] of Object.entries(storage)) {
        await chain.state.putStorage(at, word(slot), bigIntToBytes(BigInt(value)))
      }
    }
    return chain
  }

  async root() {
    return bytesToHex(await this.state.getStateRoot())
  }

  async credit(address, wei) {
    const account = (await this.state.getAccount(address)) ?? new Account()
    account.balance += wei
    await this.state.putAccount(address, account)
  }

  async block(header, transactions) {
    const number = Number(header.number)
    this.hashes.set(number - 1, hexToBytes(header.parentHash))
    const block = createBlock(
      {
        header: {
          number: BigInt(number), timestamp: BigInt(header.timestamp), gasLimit: BigInt(header.gasLimit),
          baseFeePerGas: BigInt(header.baseFee), coinbase: this.vault, mixHash: header.prevRandao,
          parentHash: header.parentHash, parentBeaconBlockRoot: header.parentBeaconBlockRoot, difficulty: 0n,
        },
      },
      { common: this.common, skipConsensusFormatValidation: true },
    )
    await this.state.putStorage(HISTORY, word((number - 1) % 8191), stripped(hexToBytes(header.parentHash)))

    const receipts = [], bodies = [], verdicts = [], outline = []
    let gasUsed = 0n
    const bloom = new Uint8Array(256)
    for (const transaction of transactions) {
      const left = BigInt(header.gasLimit) - gasUsed
      const done = transaction.deposit
        ? await this.deposit(transaction, block, gasUsed)
        : await this.signed(transaction, block, gasUsed, left)
      verdicts.push(done !== undefined)
      if (done === undefined) continue
      gasUsed += done.gas
      outline.push([done.status === 1, Number(gasUsed)])
      receipts.push(done.receipt)
      bodies.push(hexToBytes(transaction.raw))
      done.bloom.forEach((byte, index) => (bloom[index] |= byte))
    }
    let swept = 0n
    if (header.sweep) {
      const account = (await this.state.getAccount(this.vault)) ?? new Account()
      swept = account.balance
      account.balance = 0n
      await this.state.putAccount(this.vault, account)
    }
    return {
      stateRoot: await this.root(), receipts: outline, receiptsRoot: await listRoot(receipts), transactionsRoot: await listRoot(bodies),
      logsBloom: bytesToHex(bloom), gasUsed: Number(gasUsed), verdicts, swept: swept.toString(),
    }
  }

  async signed({ raw }, block, gasBefore, left) {
    let result, tx
    try {
      tx = createTxFromRLP(hexToBytes(raw), { common: this.common })
      if (tx.gasLimit > left) return undefined
      result = await runTx(this.vm, { tx, block, blockGasUsed: gasBefore })
    } catch (error) {
      if (error instanceof TypeError || error instanceof RangeError) throw error
      if (process.env.WITNESS_TALKS) console.error(error.message)
      return undefined
    }
    const gas = result.totalGasSpent
    await this.credit(this.vault, gas * block.header.baseFeePerGas)
    return { gas, status: result.receipt.status, receipt: encodeReceipt(result.receipt, tx.type), bloom: result.receipt.bitvector }
  }

  // A deposit mints, then runs as a transaction whose gas costs nothing: it is lent the base fee, which is taken back.
  async deposit({ deposit }, block, gasBefore) {
    const from = createAddressFromString(deposit.from)
    const gasLimit = BigInt(deposit.gas)
    const price = block.header.baseFeePerGas
    const nonce = (await this.state.getAccount(from))?.nonce ?? 0n
    const tx = createTx(
      {
        type: 0, nonce, gasPrice: price, gasLimit, value: BigInt(deposit.value), data: deposit.data,
        ...(deposit.to ? { to: deposit.to } : {}),
      },
      { common: this.uncapped, freeze: false },
    )
    tx.getSenderAddress = () => from
    tx.hash = () => new Uint8Array(32)
    await this.credit(from, BigInt(deposit.mint) + gasLimit * price)
    let gas, status, logs = [], bloom = new Uint8Array(256)
    this.priceless = true
    try {
      const result = await runTx(this.vm, { tx, block, blockGasUsed: gasBefore })
      gas = result.totalGasSpent
      status = result.receipt.status
      ;({ logs, bitvector: bloom } = result.receipt)
      await this.credit(from, (gas - gasLimit) * price)
    } catch (error) {
      if (error instanceof TypeError || error instanceof RangeError) throw error
      gas = gasLimit
      status = 0
      const account = await this.state.getAccount(from)
      account.balance -= gasLimit * price
      account.nonce += 1n
      await this.state.putAccount(from, account)
    } finally {
      this.priceless = false
    }
    const fields = [
      status ? Uint8Array.of(1) : new Uint8Array(), bigIntToBytes(gasBefore + gas), bloom, logs,
      nonce ? bigIntToBytes(nonce) : new Uint8Array(), Uint8Array.of(1),
    ]
    return { gas, status, receipt: concatBytes(Uint8Array.of(0x7e), RLP.encode(fields)), bloom }
  }
}

function stripped(bytes) {
  const first = bytes.findIndex((byte) => byte !== 0)
  return first < 0 ? new Uint8Array() : bytes.slice(first)
}

async function listRoot(items) {
  const trie = new MerklePatriciaTrie()
  for (const [index, item] of items.entries()) await trie.put(RLP.encode(index), item)
  return bytesToHex(trie.root())
}

let chain
for await (const line of createInterface({ input: process.stdin })) {
  const { genesis, block, transactions } = JSON.parse(line)
  if (genesis) chain = await Chain.open(genesis)
  const answer = genesis ? { stateRoot: await chain.root() } : await chain.block(block, transactions)
  process.stdout.write(JSON.stringify(answer) + '\n')
}
